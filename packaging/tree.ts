/** The program's commands as a flat list, for texts written from their declarations. */
import type { Command } from "../src/cli/command.ts";
import { rootCommand } from "../src/cli/commands.ts";

/** A command and the words that lead to it, the program's name first. */
export interface Place {
  readonly path: readonly string[];
  readonly command: Command;
}

/** A command and its sub-commands, each before its children. */
export async function placesBelow(path: readonly string[], command: Command): Promise<Place[]> {
  const below = [...command.children].map(async ([name, load]) =>
    placesBelow([...path, name], await load()),
  );
  return [{ path, command }, ...(await Promise.all(below)).flat()];
}

/** The whole program. */
export function programPlaces(): Promise<Place[]> {
  return placesBelow([rootCommand.text.name], rootCommand);
}
