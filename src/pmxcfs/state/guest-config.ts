/**
 * Properties of one guest configuration, found as the C server finds them: a line that begins with
 * `name:`, before the first line that begins with `[`. Texts are latin1, one character per byte.
 * C counterpart: status.c, _get_property_values.
 */

/** isspace(3) in the C locale. */
function isSpace(code: number): boolean {
  return code === 32 || (code >= 9 && code <= 13);
}

/**
 * The value after `name:` (the first `nameLength` + 1 characters of the line), up to a NUL and
 * without surrounding white space, except that the left trim never removes the last character (the
 * value of `tags: ` is " "). Undefined where C finds none: there is no character, or the first one
 * after white space is NUL.
 */
function valueAfter(line: string, nameLength: number): string | undefined {
  let from = nameLength + 1;
  let last = line.length - 1;
  if (last < from) return undefined;
  while (from < last && isSpace(line.charCodeAt(from))) from++;
  if (line.charCodeAt(from) === 0) return undefined;
  while (last > from && isSpace(line.charCodeAt(last))) last--;
  const nul = line.indexOf("\0", from);
  return line.slice(from, nul < 0 || nul > last ? last + 1 : nul);
}

/** The lines before the first section. */
function* mainLines(config: string): Generator<string> {
  let from = 0;
  while (from < config.length && config.charCodeAt(from) !== 91) {
    const newline = config.indexOf("\n", from);
    const to = newline < 0 ? config.length : newline;
    yield config.slice(from, to);
    from = to + 1;
  }
}

/**
 * Scans as C does, for configurations in which a name occurs twice: each further match of a name
 * that was already found increments a one-byte counter, and the scan ends when that equals the
 * number of requested names.
 */
export function scanProperties(
  config: string,
  names: readonly string[],
): readonly (string | undefined)[] {
  const found: (string | undefined)[] = Array.from({ length: names.length });
  let repeats = 0;
  for (const line of mainLines(config)) {
    for (const [index, name] of names.entries()) {
      if (line.charCodeAt(name.length) !== 58 || !line.startsWith(name)) continue;
      const value = valueAfter(line, name.length);
      if (value === undefined) continue;
      if (found[index] !== undefined) repeats = (repeats + 1) & 0xff;
      found[index] = value;
    }
    if (repeats === names.length) break;
  }
  return found;
}

/** The properties of a configuration by name. Not usable for requested names with a colon. */
export interface PropertyIndex {
  readonly values: ReadonlyMap<string, string>;
  /** True when a name occurs twice: its value then depends on the other names of the request. */
  readonly repeats: boolean;
}

/** Indexes a configuration by the text before each line's first colon. */
export function indexProperties(config: string): PropertyIndex {
  const values = new Map<string, string>();
  let repeats = false;
  for (const line of mainLines(config)) {
    const colon = line.indexOf(":");
    if (colon < 0) continue;
    const name = line.slice(0, colon);
    const value = valueAfter(line, colon);
    if (value === undefined) continue;
    if (values.has(name)) repeats = true;
    values.set(name, value);
  }
  return { values, repeats };
}
