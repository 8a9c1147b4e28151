/** A strict parser of Prometheus's text format. */

export interface Family {
  readonly type: string;
  readonly help: string;
  /** By sample name and labels, as printed: `requests_total{operation="get-config"}`. */
  readonly samples: ReadonlyMap<string, number>;
}

const COMMENT = /^# (HELP|TYPE) ([a-z_]+) (.+)$/;
const SAMPLE =
  /^([a-z_]+)((?:\{(?:[a-z_]+="(?:[^"\\\n]|\\[\\n"])*",?)*\})?) (-?[0-9.e+-]+|\+Inf|NaN)$/;

/** The families of an exposition; throws at an invalid, misplaced or repeated line. */
export function parseExposition(text: string): Map<string, Family> {
  const families = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let current = "";
  for (const line of text.split("\n")) {
    if (line === "") continue;
    const comment = COMMENT.exec(line);
    if (comment !== null) {
      const [, what, name = "", rest = ""] = comment;
      if (what === "HELP" && families.has(name)) throw new Error(`${name} comes twice`);
      const family = families.get(name) ?? { type: "", help: "", samples: new Map() };
      families.set(name, what === "HELP" ? { ...family, help: rest } : { ...family, type: rest });
      current = name;
      continue;
    }
    const sample = SAMPLE.exec(line);
    const family = families.get(current);
    if (sample === null || family === undefined) throw new Error(`not understood: ${line}`);
    const [, name = "", labels = "", value = ""] = sample;
    const parts = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
    if (!parts.some((part) => name === current + part)) throw new Error(`misplaced: ${line}`);
    if (family.samples.has(name + labels)) throw new Error(`twice: ${line}`);
    family.samples.set(name + labels, value === "+Inf" ? Infinity : Number(value));
  }
  return families;
}
