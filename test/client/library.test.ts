/** Runs the programs in docs/library.md: a server, and its client. */
import { expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { REPOSITORY } from "../support/native.ts";
import { startService, uniqueName } from "../support/service.ts";

const PAGE = readFileSync(join(REPOSITORY, "docs", "library.md"), "utf8");

function block(name: string): string {
  const found = new RegExp(`^\`\`\`ts ${name}\n([^]*?)^\`\`\`$`, "m").exec(PAGE);
  if (found?.[1] === undefined) throw new Error(`docs/library.md has no block "${name}"`);
  return found[1];
}

function linesOf(program: string): number {
  return program.split("\n").filter((line) => line.trim() !== "").length;
}

test("the server in 20 lines and the client in 10 do what the page says", async () => {
  const [server, client] = [block("server"), block("client")];
  expect(linesOf(server)).toBeLessThanOrEqual(20);
  expect(linesOf(client)).toBeLessThanOrEqual(10);
  const directory = mkdtempSync(join(tmpdir(), "pmxcfs-ipc-test-"));
  try {
    const name = uniqueName("shout");
    const write = (file: string, program: string): string => {
      const path = join(directory, file);
      const index = JSON.stringify(join(REPOSITORY, "src", "index.ts"));
      writeFileSync(path, program.replace('"pmxcfs-ipc"', index).replace('"shout"', `"${name}"`));
      return path;
    };
    const serverFile = write("server.ts", server);
    await using service = await startService(() => [process.execPath, serverFile], { name });
    const run = Bun.spawn([process.execPath, write("client.ts", client)], { stderr: "inherit" });
    expect(await run.stdout.text()).toBe("0 HELLO\n");
    expect(await run.exited).toBe(0);
    expect(await service.stop()).toBe(0);
    expect(service.output).toBe(`serving ${name}\n`);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
