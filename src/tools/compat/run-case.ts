/**
 * Runs one case with one kind of client: takes its steps in order, stops at the first that fails,
 * and returns its clients to the pool. Each step's result is recorded, for comparing two services.
 */
import { Errno, errnoName } from "../../base/errno.ts";
import { bytesOf, wordOf, type Body } from "./body.ts";
import type { User, Case, Expect, Flavor, Step } from "./case.ts";
import type { ClientPool, ClientProcess } from "./client-process.ts";
import { ControlId, u32Bytes } from "./cases/control.ts";
import { describe, malformed, mismatch, steady } from "./expect.ts";
import type { Answer } from "./protocol.ts";
import { ringsOf, type Target } from "./target.ts";

/** The message size that PVE's clients ask for. */
const PVE_BYTES = 1024 * 1024;
/** An id that no service uses. */
const PING = 9;
/** Time limit of a case without `deadlineMs`. */
const DEADLINE_MS = 10_000;
/** Time limit of an answer. */
const ANSWER_MS = 5000;
/** Wait of a receive that must fail. */
const NOTHING_MS = 150;
/** Added to a client's own timeout: libqb waits in slices, and the pipes take time. */
const GRACE_MS = 2000;
const POLL_MS = 2;
/** Interval between repetitions of a call with `withinMs`. */
const RETRY_MS = 100;
/** More answers than fit in the smallest rings, also with pages of 64 KiB. */
const MOST_UNREAD = 3000;
/** Requests after which flow control must have reached the client. */
const PINGS_PER_LEVEL = 20;

type StepOf<D extends Step["do"]> = Extract<Step, { readonly do: D }>;

/** A step failed. */
class StepFailed extends Error {}

export interface Ran {
  /** Why it failed; undefined if it passed. */
  readonly failure?: string;
  /** Reasons of the steps in which the service answered as the C server, and ours would not. */
  readonly deviations: readonly string[];
  /** The result of each step, without values that differ between runs. */
  readonly seen: readonly string[];
  readonly ms: number;
}

/** Runs `testCase` against `target` with clients of kind `flavor`. */
export async function runCase(
  testCase: Case,
  flavor: Flavor,
  target: Target,
  pool: ClientPool,
  deadlineMs: number | undefined,
): Promise<Ran> {
  const start = performance.now();
  const deadline = start + (deadlineMs ?? testCase.deadlineMs ?? DEADLINE_MS);
  const session = new Session(flavor, target, pool, deadline);
  let failure: string | undefined;
  for (const [index, step] of testCase.steps.entries()) {
    try {
      await session.take(step);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      failure = `step ${index + 1}, ${label(step)}: ${error.message}`;
      break;
    }
  }
  await session.end();
  const ms = performance.now() - start;
  const { deviations, seen } = session;
  return { ...(failure === undefined ? {} : { failure }), deviations, seen, ms };
}

/** `call 6` or `connect b`: a step for a message. */
function label(step: Step): string {
  const id = "id" in step ? ` ${step.id}` : "";
  const size = "body" in step && step.body !== undefined ? sized(step.body) : "";
  return `${step.do}${id}${size}${step.client === undefined ? "" : ` (client ${step.client})`}`;
}

function sized(body: Body): string {
  return ` with ${bytesOf(body).byteLength} bytes`;
}

class Session {
  readonly deviations: string[] = [];
  readonly seen: string[] = [];
  readonly #flavor: Flavor;
  readonly #target: Target;
  readonly #pool: ClientPool;
  readonly #deadline: number;
  readonly #clients = new Map<string, ClientProcess>();

  constructor(flavor: Flavor, target: Target, pool: ClientPool, deadline: number) {
    this.#flavor = flavor;
    this.#target = target;
    this.#pool = pool;
    this.#deadline = deadline;
  }

  async take(step: Step): Promise<void> {
    switch (step.do) {
      case "connect":
        return await this.#connect(step);
      case "call":
        return await this.#call(step);
      case "ping":
        return await this.#ping(step.client, step.body ?? "ping");
      case "send":
        return await this.#send(step);
      case "receive":
      case "event":
        return await this.#receive(step);
      case "pipeline":
      case "repeat":
        return await this.#traffic(step);
      case "fill":
        return await this.#fill(step.client);
      case "flow control":
        await this.#succeed(step.client, `fc ${step.max}`);
        return;
      case "await flow control":
        return await this.#awaitFlowControl(step);
      case "await sending":
        return await this.#until("sending", async () => {
          return (await this.#trySend(step.client, PING, "")) === "sent";
        });
      case "disconnect":
        await this.#succeed(step.client, "disconnect");
        return;
      case "await hang-up":
        return await this.#until("a hang-up", async () => {
          return (await this.#ask(step.client, "alive", GRACE_MS)).res === 0;
        });
      case "kill": {
        const client = this.#client(step.client);
        client.kill();
        return await client.end();
      }
      case "fork":
        await this.#succeed(step.client, `fork ${this.#target.name} ${PVE_BYTES} ${PING}`);
        return;
      case "await rings gone":
        return await this.#ringsGone(step.client);
      case "server":
        return await this.#server(step);
    }
  }

  #client(name = "a"): ClientProcess {
    const client = this.#clients.get(name);
    if (client === undefined) throw new StepFailed(`no client ${name}`);
    return client;
  }

  #left(): number {
    return Math.max(0, this.#deadline - performance.now());
  }

  async #ask(name: string | undefined, line: string, withinMs: number): Promise<Answer> {
    const left = Math.min(this.#left(), withinMs + GRACE_MS);
    if (left === 0) throw new StepFailed("the case's time limit has passed");
    return await this.#client(name).ask(line, left);
  }

  async #succeed(name: string | undefined, line: string): Promise<void> {
    const answer = await this.#ask(name, line, ANSWER_MS);
    if (answer.res < 0) throw new StepFailed(`failed with ${errnoName(answer.res)}`);
  }

  async #connect(step: StepOf<"connect">): Promise<void> {
    const { client: clientName = "a", user = "self", size = PVE_BYTES, expect } = step;
    const client = await this.#clientFor(clientName, user);
    const { name } = this.#target;
    const { res } = await client.ask(`connect ${name} ${size}`, Math.min(this.#left(), ANSWER_MS));
    this.seen.push(`connect: ${res === 0 ? "done" : errnoName(res)}`);
    if (expect === undefined) {
      if (res !== 0) throw new StepFailed(`failed with ${errnoName(res)}`);
      return;
    }
    if (res === 0) throw new StepFailed("was accepted");
    const absent = res === Errno.ECONNREFUSED || res === Errno.ETIMEDOUT;
    const right = expect === "refused" ? !absent : expect.some((errno) => errno === res);
    if (!right) throw new StepFailed(`failed with ${errnoName(res)}`);
  }

  async #clientFor(name: string, user: User): Promise<ClientProcess> {
    const known = this.#clients.get(name);
    if (known !== undefined && !known.ended && known.user === user) return known;
    const client = await this.#pool.take(this.#flavor, user);
    this.#clients.set(name, client);
    return client;
  }

  /** Repeats the call until the answer is as expected or `withinMs` have passed. */
  async #call(step: StepOf<"call">): Promise<void> {
    const until = performance.now() + (step.withinMs ?? 0);
    for (;;) {
      const answer = await this.#exchange(step);
      const isRight = mismatch(step.expect, answer) === undefined;
      if (isRight || performance.now() >= until) return this.#check(step, answer);
      await Bun.sleep(RETRY_MS);
    }
  }

  async #exchange({ client, id, body = "", claims = 0 }: StepOf<"call">): Promise<Answer> {
    const sent = await this.#ask(client, `send ${id} ${wordOf(body)} ${claims}`, ANSWER_MS);
    return sent.res < 0 ? sent : await this.#ask(client, `receive ${ANSWER_MS}`, ANSWER_MS);
  }

  #check({ id, expect, deviation }: StepOf<"call">, answer: Answer): void {
    const failing = typeof expect === "object" && "fails" in expect;
    this.#note(answer);
    if (answer.res >= 0) this.#wellFormed(answer, id);
    const wanted = mismatch(expect, answer);
    if (wanted === undefined) return;
    if (deviation !== undefined && mismatch(deviation.expect, answer) === undefined) {
      this.deviations.push(deviation.why);
      return;
    }
    throw new StepFailed(`${failing ? "" : "expected "}${wanted}; got ${describe(answer)}`);
  }

  #note(answer: Answer): void {
    this.seen.push(steady(answer));
  }

  #wellFormed(answer: Answer, id: number): void {
    const problem = malformed(answer, id);
    if (problem !== undefined) throw new StepFailed(problem);
  }

  #pingExpect(body: Body): Expect {
    const { profile } = this.#target;
    if (profile === "pmxcfs") return { errno: Errno.ECHRNG };
    return profile === "other" ? "any answer" : { body };
  }

  async #ping(client: string | undefined, body: Body): Promise<void> {
    const expect = this.#pingExpect(body);
    const sender = client === undefined ? {} : { client };
    await this.#call({ do: "call", id: PING, body, expect, ...sender });
  }

  /** Requests flow control repeatedly: its 300 ms can end before this process runs again. */
  async #awaitFlowControl({ client, level }: StepOf<"await flow control">): Promise<void> {
    const body = u32Bytes(level);
    await this.#until("flow control", async () => {
      if ((await this.#trySend(client, ControlId.HOLD, body)) === "refused") return true;
      for (let pings = 0; pings < PINGS_PER_LEVEL; pings++) {
        if ((await this.#trySend(client, PING, "")) === "refused") return true;
      }
      return false;
    });
  }

  /** Sends one request and reads its answer, or reports that flow control refused the send. */
  async #trySend(client: string | undefined, id: number, body: Body): Promise<"sent" | "refused"> {
    const sent = await this.#ask(client, `send ${id} ${wordOf(body)} 0`, ANSWER_MS);
    if (sent.res === Errno.EAGAIN) return "refused";
    if (sent.res < 0) throw new StepFailed(`a send failed with ${errnoName(sent.res)}`);
    const answer = await this.#ask(client, `receive ${ANSWER_MS}`, ANSWER_MS);
    if (answer.res < 0) throw new StepFailed(`no answer: ${errnoName(answer.res)}`);
    return "sent";
  }

  async #until(event: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      if (this.#left() === 0) throw new StepFailed(`no ${event} within the case's time limit`);
      await Bun.sleep(POLL_MS);
    }
  }

  async #send({ client, id, body = "", expect }: StepOf<"send">): Promise<void> {
    const { res } = await this.#ask(client, `send ${id} ${wordOf(body)} 0`, ANSWER_MS);
    this.seen.push(`send: ${res < 0 ? errnoName(res) : "done"}`);
    const isRight = expect === undefined ? res >= 0 : res === expect;
    if (isRight) return;
    const wanted = expect === undefined ? "" : `, not with ${errnoName(expect)}`;
    throw new StepFailed(res < 0 ? `failed with ${errnoName(res)}${wanted}` : "succeeded");
  }

  async #receive({ do: verb, client, id, expect }: StepOf<"receive" | "event">): Promise<void> {
    const nothing = typeof expect === "object" && "fails" in expect;
    const withinMs = nothing ? NOTHING_MS : ANSWER_MS;
    const answer = await this.#ask(client, `${verb} ${withinMs}`, withinMs);
    this.#note(answer);
    if (answer.res >= 0) this.#wellFormed(answer, id);
    const wanted = mismatch(expect, answer);
    if (wanted !== undefined) throw new StepFailed(`expected ${wanted}; got ${describe(answer)}`);
  }

  async #traffic(step: StepOf<"pipeline" | "repeat">): Promise<void> {
    const word = step.do === "repeat" ? `${wordOf(step.body ?? "ping")} ` : "";
    const line = `${step.do} ${step.count} ${PING} ${word}${ANSWER_MS}`;
    const answer = await this.#ask(step.client, line, this.#left());
    const { res, received = 0, misordered = 0, errors = 0, unread = 0 } = answer;
    this.seen.push(`${step.do}: ${received} answers, ${errors} errors`);
    const counted = `${received} of ${step.count} answers`;
    if (received !== step.count) throw new StepFailed(`${counted}, then ${errnoName(res)}`);
    if (misordered > 0) throw new StepFailed(`${misordered} answers do not match their requests`);
    const wanted = this.#target.profile === "pmxcfs" ? step.count : 0;
    if (this.#target.profile !== "other" && errors !== wanted) {
      throw new StepFailed(`${errors} errors, expected ${wanted}`);
    }
    if (unread > 0) throw new StepFailed(`the server left ${unread} wake-up bytes unread`);
  }

  /** How it ends is not compared: C's pmxcfs ends the connection, ours takes no more requests. */
  async #fill(client: string | undefined): Promise<void> {
    for (let sent = 0; sent < MOST_UNREAD; sent++) {
      const { res } = await this.#ask(client, `send ${PING} - 0`, ANSWER_MS);
      if (res < 0) return;
    }
  }

  async #ringsGone(client = "a"): Promise<void> {
    const { pid } = this.#client(client);
    const serverPid = this.#target.pid();
    await this.#until("end of its ring files", () => ringsOf(serverPid, pid).length === 0);
  }

  async #server({ action }: StepOf<"server">): Promise<void> {
    const { server } = this.#target;
    if (server === undefined) throw new StepFailed("the runner did not start this service");
    if (action === "start") await server.start();
    else await server.stop(action === "kill" ? "SIGKILL" : "SIGTERM");
  }

  /** Returns the clients to the pool; waits for those that end. */
  async end(): Promise<void> {
    for (const client of this.#clients.values()) {
      await this.#pool.giveBack(this.#flavor, client);
    }
    this.#clients.clear();
  }
}
