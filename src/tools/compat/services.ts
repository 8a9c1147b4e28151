/**
 * The services of a run: a running one, one that the runner starts with a command, or the runner's
 * own two: a pmxcfs with fixtures, and the control server (control-server.ts).
 */
import { QbFailure } from "../../client/failure.ts";
import { selfCommand } from "../../platform/self.ts";
import { makeFixtures, NODE, removeFixtures } from "./fixtures.ts";
import type { Profile } from "./case.ts";
import { CHILD_VARIABLE } from "./protocol.ts";
import { ServerFailure, ServerProcess } from "./server-process.ts";
import { examine, type Target } from "./target.ts";

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

/** The user's command with the service name in place of `{socket}`. */
function commandOf(command: string, name: string): readonly string[] {
  return ["sh", "-c", `exec ${command.replaceAll("{socket}", name)}`];
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

async function running(name: string, writes: boolean): Promise<Services | string> {
  const target = await examine(name, { writes });
  if (target instanceof QbFailure) return `${name}: ${String(target)}`;
  return { targets: [target], [Symbol.asyncDispose]: async () => {} };
}
