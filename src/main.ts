#!/usr/bin/env bun
/** The entry of the process: passes the words of the command line to cli/main.ts. */
import { basename } from "node:path";
import { foreignCode } from "./platform/environment.ts";
import { restartWithSettings } from "./platform/runtime-settings.ts";

/** Commands that spend most of their time waiting for clients. */
const SERVING: readonly string[] = ["serve", "echo", "pmxcfs"];

const refusal = foreignCode(process.env);
if (refusal !== undefined) {
  process.stderr.write(`pmxcfs-ipc: ${refusal}\n`);
  process.exit(1);
}

const given = process.argv.slice(2);
// Started under the name pmxcfs, the program is a drop-in replacement for the C server.
const words = basename(process.argv0) === "pmxcfs" ? ["pmxcfs", ...given] : given;
if (SERVING.includes(words[0] ?? "")) restartWithSettings(given);

const { main } = await import("./cli/main.ts");
await main(words);
