/** All cases, in the order they run: the transport first, because all others need it. */
import type { Case } from "../case.ts";
import { ACCESS_CASES } from "./access.ts";
import { CONTROL_CASES } from "./control.ts";
import { FILE_CASES } from "./files.ts";
import { randomCases } from "./random.ts";
import { REQUEST_CASES } from "./requests.ts";
import { TRANSPORT_CASES } from "./transport.ts";
import { WRITE_CASES } from "./writes.ts";

/** Every case of the suite; the same `seed` gives the same random cases. */
export function allCases(seed: number): readonly Case[] {
  return [
    ...TRANSPORT_CASES,
    ...CONTROL_CASES,
    ...REQUEST_CASES,
    ...FILE_CASES,
    ...WRITE_CASES,
    ...ACCESS_CASES,
    ...randomCases(seed),
  ];
}
