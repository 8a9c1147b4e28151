#!/usr/bin/env bun
/** The process's entry: hands the words of the command line to cli/main.ts. */
import { main } from "./cli/main.ts";

await main(process.argv.slice(2));
