/** Points in time as people type them. */

const UNITS: Readonly<Record<string, number>> = {
  s: 1_000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 7 * 86_400_000,
};

/** Farthest time of a Date from 1970, in ms. */
const DATE_LIMIT_MS = 8.64e15;

/**
 * `2h`, `30m`, `7d` (ago), `14:30` (today, local time), `2026-11-26`, `2026-11-26 14:30`,
 * `2026-11-26T14:30:00Z`, or `@` and seconds since 1970. Returns ms since 1970, undefined if it is
 * none of these.
 */
export function parseMoment(word: string, nowMs: number): number | undefined {
  const ms = parsed(word, nowMs);
  return ms !== undefined && Math.abs(ms) <= DATE_LIMIT_MS ? ms : undefined;
}

function parsed(word: string, nowMs: number): number | undefined {
  const ago = /^(\d+(?:\.\d+)?)(s|m|min|h|d|w)$/.exec(word);
  if (ago !== null) return nowMs - Number(ago[1]) * (UNITS[ago[2] ?? ""] ?? 0);
  const epoch = /^@(\d+)$/.exec(word);
  if (epoch !== null) return Number(epoch[1]) * 1000;
  const clock = /^([01]?\d|2[0-3]):([0-5]\d)(?::([0-5]\d))?$/.exec(word);
  if (clock !== null) {
    const [, hours, minutes, seconds = "0"] = clock;
    return new Date(nowMs).setHours(Number(hours), Number(minutes), Number(seconds), 999);
  }
  const date =
    /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)(Z|[+-]\d{2}:?\d{2})?)?$/;
  const found = date.exec(word);
  if (found === null) return undefined;
  const [, day = "", time = "00:00", zone = ""] = found;
  // Date.parse takes the 31st of February for the 3rd of March.
  const noon = new Date(`${day}T12:00Z`);
  if (Number.isNaN(noon.getTime()) || !noon.toISOString().startsWith(day)) return undefined;
  return Date.parse(`${day}T${time}${zone}`);
}
