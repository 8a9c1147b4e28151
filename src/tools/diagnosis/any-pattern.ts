/**
 * Combines many regular expressions into one. The engine tries all alternatives at each position,
 * so alternatives with the same first letter become one group, which one comparison rejects. No C
 * counterpart.
 */

/** The top-level alternatives of an expression. */
function alternativesOf(source: string): string[] {
  const found: string[] = [];
  let depth = 0;
  let inClass = false;
  let start = 0;
  for (let at = 0; at < source.length; at += 1) {
    const char = source[at];
    if (char === "\\") at += 1;
    else if (inClass) inClass = char !== "]";
    else if (char === "[") inClass = true;
    else if (char === "(") depth += 1;
    else if (char === ")") depth -= 1;
    else if (char === "|" && depth === 0) {
      found.push(source.slice(start, at));
      start = at + 1;
    }
  }
  return [...found, source.slice(start)];
}

/** An expression that begins with a literal letter without a quantifier. */
const FIRST_LETTER = /^([a-z])(?![?*+{])(.*)$/;

/** One expression that matches if any of `sources` does. */
export function anyOf(sources: readonly string[]): RegExp {
  const byLetter = new Map<string, string[]>();
  const others: string[] = [];
  for (const source of new Set(sources.flatMap(alternativesOf))) {
    const [, letter, rest = ""] = FIRST_LETTER.exec(source) ?? [];
    if (letter === undefined) others.push(source);
    else byLetter.set(letter, [...(byLetter.get(letter) ?? []), rest]);
  }
  const grouped = [...byLetter].map(([letter, rests]) => `${letter}(?:${rests.join("|")})`);
  return new RegExp([...grouped, ...others].join("|"));
}
