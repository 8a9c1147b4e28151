#!/usr/bin/env bun
/** The process's entry: hands the words of the command line to cli/main.ts. */
import { basename } from "node:path";
import { restartWithoutTimer } from "./platform/idle.ts";

/** Commands that wait for clients, mostly. */
const SERVING: readonly string[] = ["serve", "echo", "pmxcfs"];

const given = process.argv.slice(2);
// Linked as pmxcfs, the program is the C server's drop-in.
const words = basename(process.argv0) === "pmxcfs" ? ["pmxcfs", ...given] : given;
if (SERVING.includes(words[0] ?? "")) restartWithoutTimer(given);

const { main } = await import("./cli/main.ts");
await main(words);
