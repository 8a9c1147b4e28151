/**
 * Odd config.db files, made by code: damaged pages, foreign and torn logs, rows that are no valid
 * tree, other formats of the same data. Each is a function that fills an empty directory; the file
 * is always `config.db`. odd-databases.json of test/golden records what the C server did with each.
 */
import { FORMATS } from "./odd/formats.ts";
import { LOGS } from "./odd/logs.ts";
import type { OddDatabase } from "./odd/making.ts";
import { LAYOUT } from "./odd/pages.ts";
import { ROWS } from "./odd/rows.ts";

export type { OddDatabase };

export const ODD_DATABASES: readonly OddDatabase[] = [...LAYOUT, ...LOGS, ...ROWS, ...FORMATS];
