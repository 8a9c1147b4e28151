/** The options that several `config` commands have. */
import { PVE } from "../base/paths.ts";
import { path as pathOption } from "./args.ts";

/** The database of a node. */
export const DEFAULT_DB = PVE.database;

/** `--db` of a command that works on one database. */
export const database = pathOption({
  description: "Database",
  hint: "FILE",
  default: DEFAULT_DB,
});
