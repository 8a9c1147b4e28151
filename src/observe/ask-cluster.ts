/** Asks a running server for its part in the cluster: the other end of cluster-socket.ts. */
import { connect } from "node:net";
import type { ClusterQuestion } from "./cluster-socket.ts";

const TIMEOUT_MS = 5000;
/** Bound of a line; a server that sends a longer one is not ours. */
const LINE_BYTES = 16 * 1024 * 1024;

/** The values that the server at `path` sends, until it or `signal` ends; throws on failure. */
export async function* askCluster(
  path: string,
  question: ClusterQuestion,
  signal?: AbortSignal,
): AsyncGenerator<Record<string, unknown>> {
  const socket = connect({ path });
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
      if (rest.length > LINE_BYTES) throw new Error("what answers is no server of ours");
      for (const line of lines) yield JSON.parse(line) as Record<string, unknown>;
    }
  } finally {
    socket.destroy();
  }
}
