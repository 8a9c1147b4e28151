/** The child's side of json-process.ts: reads commands from stdin, writes results and events. */

/** Writes one line: a result or an event. */
export function say(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`);
}

/** Performs each command as it arrives; ends the process at the end of stdin. */
export async function serveCommands(perform: (command: never) => unknown): Promise<never> {
  let rest = "";
  const decoder = new TextDecoder();
  for await (const chunk of Bun.stdin.stream()) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const { number, command } = JSON.parse(line) as { number: number; command: never };
      void answer(number, () => perform(command));
    }
  }
  process.exit(0);
}

async function answer(number: number, perform: () => unknown): Promise<void> {
  try {
    say({ number, result: (await perform()) ?? null });
  } catch (error) {
    say({ number, error: String(error) });
  }
}
