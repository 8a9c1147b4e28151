/**
 * Runs one case with one kind of client: takes its steps in order, stops at the first that fails,
 * and returns its clients to the pool. Each step's result is recorded, for comparing two services.
 */
import { Errno, errnoName } from "../../base/errno.ts";
import { bytesOf, wordOf, type Body } from "./body.ts";
import type { As, Case, Expect, Flavor, Step } from "./case.ts";
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
/** A healthy server answers within this. */
const ANSWER_MS = 5000;
/** A client that must receive nothing waits this long. */
const NOTHING_MS = 150;
/** Added to a client's own timeout: libqb waits in slices, and the pipes take time. */
const GRACE_MS = 2000;
const LOOK_MS = 2;
/** Interval between repetitions of a call whose answer becomes right after a while. */
const ASK_AGAIN_MS = 100;
/** A server that applies flow control does so before it has answered this many requests. */
const PINGS_PER_HOLD = 20;

type StepOf<D extends Step["do"]> = Extract<Step, { readonly do: D }>;

/** A step failed. */
class StepFailed extends Error {}

export interface Ran {
  /** Why it failed; undefined if it passed. */
  readonly failure?: string;
  /** Places where the service behaves as the C server, and ours differs on purpose. */
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
  return `${step.do}${id}${size}${step.of === undefined ? "" : ` (client ${step.of})`}`;
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
        return await this.#ping(step.of, step.body ?? "ping");
      case "send":
        return await this.#send(step);
      case "receive":
      case "event":
        return await this.#receive(step);
      case "pipeline":
      case "repeat":
        return await this.#traffic(step);
      case "flow control":
        await this.#succeed(step.of, `fc ${step.max}`);
        return;
      case "await held":
        return await this.#awaitHeld(step);
      case "await sending":
        return await this.#until("sending", async () => {
          return (await this.#trySend(step.of, PING, "")) === "sent";
        });
      case "disconnect":
        await this.#succeed(step.of, "disconnect");
        return;
      case "await hang-up":
        return await this.#until("a hang-up", async () => {
          return (await this.#ask(step.of, "alive", GRACE_MS)).res === 0;
        });
      case "kill": {
        const client = this.#client(step.of);
        client.kill();
        return await client.end();
      }
      case "fork":
        await this.#succeed(step.of, `fork ${this.#target.name} ${PVE_BYTES} ${PING}`);
        return;
      case "await rings gone":
        return await this.#ringsGone(step.of);
      case "server":
        return await this.#server(step);
    }
  }

  #client(of = "a"): ClientProcess {
    const client = this.#clients.get(of);
    if (client === undefined) throw new StepFailed(`no client ${of}`);
    return client;
  }

  #left(): number {
    return Math.max(0, this.#deadline - performance.now());
  }

  async #ask(of: string | undefined, line: string, withinMs: number): Promise<Answer> {
    const left = Math.min(this.#left(), withinMs + GRACE_MS);
    if (left === 0) throw new StepFailed("the case's time is over");
    return await this.#client(of).ask(line, left);
  }

  async #succeed(of: string | undefined, line: string): Promise<void> {
    const answer = await this.#ask(of, line, ANSWER_MS);
    if (answer.res < 0) throw new StepFailed(`failed with ${errnoName(answer.res)}`);
  }

  async #connect({ of = "a", as = "self", size = PVE_BYTES, expect }: StepOf<"connect">) {
    const client = await this.#clientFor(of, as);
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

  async #clientFor(of: string, as: As): Promise<ClientProcess> {
    const known = this.#clients.get(of);
    if (known !== undefined && !known.ended && known.as === as) return known;
    const client = await this.#pool.take(this.#flavor, as);
    this.#clients.set(of, client);
    return client;
  }

  /** Repeats the call until the answer is as expected or `withinMs` have passed. */
  async #call(step: StepOf<"call">): Promise<void> {
    const until = performance.now() + (step.withinMs ?? 0);
    for (;;) {
      const answer = await this.#exchange(step);
      const isRight = mismatch(step.expect, answer) === undefined;
      if (isRight || performance.now() >= until) return this.#judge(step, answer);
      await Bun.sleep(ASK_AGAIN_MS);
    }
  }

  async #exchange({ of, id, body = "", claims = 0 }: StepOf<"call">): Promise<Answer> {
    const sent = await this.#ask(of, `send ${id} ${wordOf(body)} ${claims}`, ANSWER_MS);
    return sent.res < 0 ? sent : await this.#ask(of, `receive ${ANSWER_MS}`, ANSWER_MS);
  }

  #judge({ id, expect, deviation }: StepOf<"call">, answer: Answer): void {
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

  async #ping(of: string | undefined, body: Body): Promise<void> {
    const expect = this.#pingExpect(body);
    await this.#call({ do: "call", id: PING, body, expect, ...(of === undefined ? {} : { of }) });
  }

  /** Flow control ends by itself, perhaps before this process runs again: asks repeatedly. */
  async #awaitHeld({ of, level }: StepOf<"await held">): Promise<void> {
    const hold = u32Bytes(level);
    await this.#until("hold", async () => {
      if ((await this.#trySend(of, ControlId.HOLD, hold)) === "held") return true;
      for (let pings = 0; pings < PINGS_PER_HOLD; pings++) {
        if ((await this.#trySend(of, PING, "")) === "held") return true;
      }
      return false;
    });
  }

  /** Sends one request and reads its answer, or reports that flow control refused the send. */
  async #trySend(of: string | undefined, id: number, body: Body): Promise<"sent" | "held"> {
    const sent = await this.#ask(of, `send ${id} ${wordOf(body)} 0`, ANSWER_MS);
    if (sent.res === Errno.EAGAIN) return "held";
    if (sent.res < 0) throw new StepFailed(`a send failed with ${errnoName(sent.res)}`);
    const answer = await this.#ask(of, `receive ${ANSWER_MS}`, ANSWER_MS);
    if (answer.res < 0) throw new StepFailed(`no answer: ${errnoName(answer.res)}`);
    return "sent";
  }

  async #until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
    while (!(await condition())) {
      if (this.#left() === 0) throw new StepFailed(`no ${what} within the case's time`);
      await Bun.sleep(LOOK_MS);
    }
  }

  async #send({ of, id, body = "", expect }: StepOf<"send">): Promise<void> {
    const { res } = await this.#ask(of, `send ${id} ${wordOf(body)} 0`, ANSWER_MS);
    this.seen.push(`send: ${res < 0 ? errnoName(res) : "done"}`);
    const held = expect === undefined ? res >= 0 : res === expect;
    if (held) return;
    const wanted = expect === undefined ? "" : `, not with ${errnoName(expect)}`;
    throw new StepFailed(res < 0 ? `failed with ${errnoName(res)}${wanted}` : "went through");
  }

  async #receive({ do: verb, of, id, expect }: StepOf<"receive" | "event">): Promise<void> {
    const nothing = typeof expect === "object" && "fails" in expect;
    const withinMs = nothing ? NOTHING_MS : ANSWER_MS;
    const answer = await this.#ask(of, `${verb} ${withinMs}`, withinMs);
    this.#note(answer);
    if (answer.res >= 0) this.#wellFormed(answer, id);
    const wanted = mismatch(expect, answer);
    if (wanted !== undefined) throw new StepFailed(`expected ${wanted}; got ${describe(answer)}`);
  }

  async #traffic(step: StepOf<"pipeline" | "repeat">): Promise<void> {
    const word = step.do === "repeat" ? `${wordOf(step.body ?? "ping")} ` : "";
    const line = `${step.do} ${step.count} ${PING} ${word}${ANSWER_MS}`;
    const answer = await this.#ask(step.of, line, this.#left());
    const { res, received = 0, misordered = 0, errors = 0, unread = 0 } = answer;
    this.seen.push(`${step.do}: ${received} answers, ${errors} errors`);
    const of = `${received} of ${step.count} answers`;
    if (received !== step.count) throw new StepFailed(`${of}, then ${errnoName(res)}`);
    if (misordered > 0) throw new StepFailed(`${misordered} answers do not match their requests`);
    const wanted = this.#target.profile === "pmxcfs" ? step.count : 0;
    if (this.#target.profile !== "other" && errors !== wanted) {
      throw new StepFailed(`${errors} errors, expected ${wanted}`);
    }
    if (unread > 0) throw new StepFailed(`the server left ${unread} wake-up bytes unread`);
  }

  async #ringsGone(of = "a"): Promise<void> {
    const { pid } = this.#client(of);
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
