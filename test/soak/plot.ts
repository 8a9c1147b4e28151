/** A plot of a series as one line of text: bars of eight heights, from the least to the largest. */

const STEPS = "▁▂▃▄▅▆▇█";
const WIDTH = 60;

/** The largest value of each of at most `WIDTH` parts of the series. */
function condensed(values: readonly number[]): number[] {
  const perBar = Math.ceil(values.length / WIDTH);
  const bars: number[] = [];
  for (let at = 0; at < values.length; at += perBar) {
    bars.push(Math.max(...values.slice(at, at + perBar)));
  }
  return bars;
}

/** `name  ▁▂▃ 12..34`, with the least and the largest value. */
export function plot(name: string, values: readonly number[], unit = ""): string {
  const bars = condensed(values);
  const low = Math.min(...bars);
  const high = Math.max(...bars);
  const step = (value: number) =>
    STEPS[high === low ? 0 : Math.round(((value - low) / (high - low)) * (STEPS.length - 1))];
  return `${name.padEnd(16)} ${bars.map(step).join("")} ${low}..${high}${unit}`;
}
