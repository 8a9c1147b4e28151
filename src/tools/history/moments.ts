/** Points in time as people type them. */

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/**
 * `2h`, `30m`, `7d` (ago), `14:30` (today, local time), `2026-11-26`, `2026-11-26 14:30`,
 * `2026-11-26T14:30:00Z`, or `@` and seconds since 1970. Returns ms since 1970, undefined if it is
 * none of these.
 */
export function parseMoment(word: string, nowMs: number): number | undefined {
  const ago = /^(\d+(?:\.\d+)?)(s|m|min|h|d|w)$/.exec(word);
  if (ago !== null) return nowMs - Number(ago[1]) * (UNITS[ago[2] ?? ""] ?? 0);
  const epoch = /^@(\d+)$/.exec(word);
  if (epoch !== null) return Number(epoch[1]) * 1000;
  const clock = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/.exec(word);
  if (clock !== null) {
    const [, hours, minutes, seconds = "0"] = clock;
    return new Date(nowMs).setHours(Number(hours), Number(minutes), Number(seconds), 999);
  }
  const date =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:?\d{2})?)?$/;
  const found = date.exec(word);
  if (found === null) return undefined;
  const [, day = "", time = "00:00", zone = ""] = found;
  const ms = Date.parse(`${day}T${time}${zone}`);
  return Number.isNaN(ms) ? undefined : ms;
}
