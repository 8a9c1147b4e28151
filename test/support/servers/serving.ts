/** What the small library servers share: start on the name of argv[2], say so, stop on SIGTERM. */
import { type Handler, Server, type ServerOptions } from "../../../src/index.ts";

/** Serves `handler` until SIGTERM; a failure to start is one line and exit code 1. */
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
