/** `pmxcfs-ipc echo`: the echo server as a command. */
import { echoHandler } from "../daemon/echo.ts";
import { OPAQUE } from "../observe/observe.ts";
import { runService } from "../daemon/run-service.ts";
import { flag } from "./args.ts";
import { command } from "./command.ts";
import { CommandFailure } from "./failure.ts";
import {
  leaveSoon,
  logOf,
  observeOptions,
  observeSettings,
  serviceOptions,
  serviceSettings,
} from "./service-options.ts";

export const echoCommand = command({
  name: "echo",
  summary: "Serve a name and answer each request with its own body",
  details: [
    "An example of the library, and a target for benchmarks and robustness tests. Accepts root " +
      "and the user it runs as.",
  ],
  examples: [["echo --socket test --accept-any", "echo for all users of this host"]],
  options: {
    ...serviceOptions,
    ...observeOptions,
    acceptAny: flag({ description: "Accept all users of this host" }),
  },
  async run(values) {
    const failure = await runService(values.socket, echoHandler(values.acceptAny), {
      log: logOf(values),
      service: serviceSettings(values),
      observe: { ...observeSettings(values), ...OPAQUE },
    });
    if (failure !== undefined) throw new CommandFailure(failure.message);
    leaveSoon();
  },
});
