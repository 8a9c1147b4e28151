/**
 * The services of a run: a running one, one that the runner starts with a command, or the runner's
 * own two: a pmxcfs with fixtures, and the control server (control-server.ts).
 */
import { QbFailure } from "../../client/failure.ts";
import { QbClient } from "../../client/qb-client.ts";
import { selfCommand } from "../../platform/self.ts";
import { makeFixtures, NODE, removeFixtures } from "./fixtures.ts";
import type { Profile } from "./case.ts";
import { CHILD_VARIABLE } from "./protocol.ts";
import { ServerFailure, ServerProcess } from "./server-process.ts";
import { examine, type Target } from "./target.ts";

/** A server that does not answer for so long is there all the same. */
const SERVED_MS = 1000;

/** The service that the user chose. */
export interface ServiceChoice {
  readonly socket?: string | undefined;
  readonly command?: string | undefined;
  readonly writes: boolean;
}

/** The services under test; disposal stops and removes those that the runner made. */
export interface Services extends AsyncDisposable {
  readonly targets: readonly Target[];
}

function uniqueName(kind: string): string {
  return `compat-${kind}-${process.pid}`;
}

/** Assignments of variables before a command, which the shell does not take after `exec`. */
const ASSIGNMENTS = /^\s*(?:[A-Za-z_]\w*=(?:"[^"]*"|'[^']*'|[^\s"';&|])*\s+)*/;

/**
 * The user's command with the service name in place of `{socket}`. The server takes the place of
 * the shell, so that it gets the runner's signals.
 */
export function commandOf(command: string, name: string): readonly string[] {
  const line = command.replaceAll("{socket}", name);
  const [assignments = ""] = ASSIGNMENTS.exec(line) ?? [];
  return ["sh", "-c", `${assignments}exec ${line.slice(assignments.length)}`];
}

/** A server to start, and its profile if that is known. */
interface ToStart {
  readonly server: ServerProcess;
  readonly own?: Profile;
}

function ownServers(directory: string): ToStart[] {
  const [echo, pmxcfs] = [uniqueName("echo"), uniqueName("pmxcfs")];
  const serve = ["serve", "--socket", pmxcfs, "--dir", directory, "--node", NODE];
  const role = { [CHILD_VARIABLE]: `control ${echo}` };
  return [
    { server: new ServerProcess(echo, [...selfCommand(), "compat"], role), own: "control" },
    { server: new ServerProcess(pmxcfs, [...selfCommand(), ...serve]), own: "pmxcfs" },
  ];
}

/** Connects to or starts the services under test; a string says why one cannot be reached. */
export async function openServices(choice: ServiceChoice): Promise<Services | string> {
  const { socket, command, writes } = choice;
  if (socket !== undefined && command === undefined) return await running(socket, writes);
  if (socket !== undefined && (await isServed(socket))) {
    return `@${socket} is served already: the cases would run against that server, and write to it`;
  }
  const directory = command === undefined ? makeFixtures() : undefined;
  const name = socket ?? uniqueName("service");
  const servers: readonly ToStart[] =
    command === undefined
      ? ownServers(directory ?? "")
      : [{ server: new ServerProcess(name, commandOf(command, name)) }];
  const end = async (): Promise<void> => {
    for (const { server } of servers) {
      await server.stop();
      server.sweep();
    }
    if (directory !== undefined) removeFixtures(directory);
  };
  try {
    const targets: Target[] = [];
    for (const each of servers) {
      await each.server.start();
      const target = await examine(each.server.name, each);
      if (target instanceof QbFailure) throw new ServerFailure(String(target));
      targets.push(target);
    }
    return { targets, [Symbol.asyncDispose]: end };
  } catch (error) {
    await end();
    if (error instanceof ServerFailure) return error.message;
    throw error;
  }
}

/** Whether a server accepts, refuses or ignores clients of this name. */
async function isServed(name: string): Promise<boolean> {
  const client = await QbClient.connect(name, { timeoutMs: SERVED_MS });
  if (client instanceof QbFailure) return client.kind !== "absent";
  client.close();
  return true;
}

async function running(name: string, writes: boolean): Promise<Services | string> {
  const target = await examine(name, { writes });
  if (target instanceof QbFailure) return `${name}: ${String(target)}`;
  return { targets: [target], [Symbol.asyncDispose]: async () => {} };
}
