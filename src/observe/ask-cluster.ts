/** Asks a running server about its cluster: the client of cluster-socket.ts. */
import { connect } from "node:net";
import type { ClusterQuestion } from "./cluster-socket.ts";

const TIMEOUT_MS = 5000;
/** Longest line; a server that sends a longer one is not ours. */
const LINE_BYTES = 16 * 1024 * 1024;

/** The values that the server at `path` sends, until it closes or `signal` aborts; may throw. */
export async function* askCluster(
  path: string,
  question: ClusterQuestion,
  signal?: AbortSignal,
): AsyncGenerator<Record<string, unknown>> {
  const socket = connect({ path });
  // A character may be in two parts.
  socket.setEncoding("utf8");
  if (question !== "watch") {
    socket.setTimeout(TIMEOUT_MS, () => socket.destroy(new Error(`no answer in ${TIMEOUT_MS} ms`)));
  }
  signal?.addEventListener("abort", () => socket.destroy(), { once: true });
  socket.write(question);
  let rest = "";
  try {
    for await (const part of socket) {
      rest += String(part);
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      if (rest.length > LINE_BYTES) throw new Error("the answer is not from a server of ours");
      for (const line of lines) yield JSON.parse(line) as Record<string, unknown>;
    }
  } finally {
    socket.destroy();
  }
}
