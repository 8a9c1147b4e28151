#!/usr/bin/env bun
/** The process's entry: hands the words of the command line to cli/main.ts. */
import { restartWithoutTimer } from "./platform/idle.ts";

/** Commands that wait for clients, mostly. */
const SERVING: readonly string[] = ["serve", "echo"];

const words = process.argv.slice(2);
if (SERVING.includes(words[0] ?? "")) restartWithoutTimer(words);

const { main } = await import("./cli/main.ts");
await main(words);
