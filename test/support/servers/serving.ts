/** Start and stop of the servers of this directory: serves on the name in argv[2] until SIGTERM. */
import { type Handler, Server, type ServerOptions } from "../../../src/index.ts";

/** Serves `handler` and prints READY; if it cannot start, prints one line and exits with 1. */
export function serveHandler(handler: Handler, options: ServerOptions = {}): Server {
  const name = process.argv[2] ?? "";
  const server = Server.start(name, handler, options);
  if (!(server instanceof Server)) {
    console.error(JSON.stringify(server));
    process.exit(1);
  }
  process.on("SIGTERM", () => {
    void server.stop().then(() => process.exit(0));
  });
  console.log("READY");
  return server;
}
