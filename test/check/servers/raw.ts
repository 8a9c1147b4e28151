/**
 * A listener on a service's name that is not a libqb server: `raw.ts SERVICE MANNER`.
 * `hang` never accepts, `garbage` answers with random text, `close` hangs up at once.
 */
import { listenOn } from "../../../src/platform/socket.ts";

const [, , service = "", manner = "hang"] = process.argv;
const fd = listenOn(service, 5);
if (fd < 0) throw new Error(`cannot listen: ${fd}`);

const socket = {
  open(peer: { write(text: string): unknown; end(): unknown }) {
    if (manner === "garbage") peer.write("HTTP/1.1 400 Bad Request\r\n\r\n".repeat(1000));
    if (manner === "close") peer.end();
  },
  data() {},
};

if (manner !== "hang") Bun.listen({ fd, socket } as unknown as Parameters<typeof Bun.listen>[0]);
console.log("READY");
setInterval(() => {}, 1_000_000);
