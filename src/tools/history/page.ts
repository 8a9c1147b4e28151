/**
 * The history as one self-contained page: a timeline, and a list of changes that can be filtered,
 * each with its diff. No network, no third-party code; the page's script shows the JSON data as
 * text only.
 */
import { counted } from "../../base/counted.ts";
import { type History, isThere, type KeptChange } from "../../pmxcfs/history/reader.ts";
import { escapeMarkup, escapeText, jsonText } from "../../base/escape.ts";
import { unifiedDiff } from "./diff.ts";
import { showAuthor, showPath, showTime, showVersions, showWhere } from "./listing.ts";
import { PAGE_SCRIPT, PAGE_STYLE } from "./page-parts.ts";

/** Longer diffs are cut in the page; `history diff` shows all of them. */
const MOST_DIFF = 64 * 1024;

export interface PageOptions {
  readonly showSecrets: boolean;
}

/** The data of a change in the page. */
interface Shown {
  readonly versions: string;
  readonly ms: number;
  readonly kind: string;
  readonly by: string;
  readonly path: string;
  readonly where: string;
  readonly size: number;
  readonly diff: string;
}

/** The last change of each path so far, so that the page is made in one pass. */
class Before {
  readonly #history: History;
  readonly #last = new Map<string, KeptChange>();

  constructor(history: History) {
    this.#history = history;
  }

  /** The change before `change` of the same path; it may have removed or renamed the entry. */
  of(change: KeptChange): KeptChange | undefined {
    const { path } = change;
    return this.#last.get(path) ?? this.#history.stateAt(path, change.firstVersion - 1);
  }

  passed(change: KeptChange): void {
    if (change.to !== null) this.#last.delete(change.path);
    this.#last.set(change.to ?? change.path, change);
  }
}

function diffOf(history: History, before: Before, change: KeptChange, all: boolean): string {
  if (change.type === "directory" || change.kind === "touch") return "";
  const earlier = before.of(change);
  const wasThere = earlier !== undefined && isThere(change.path, earlier);
  const old = wasThere ? history.content(earlier) : undefined;
  const now = history.content(change);
  if (wasThere && old === undefined) return "the content before is not kept\n";
  if (change.kind !== "remove" && now === undefined) return "the content is not kept\n";
  const name = showPath(change.path);
  const diff = unifiedDiff(
    { label: `${name}@${earlier?.version ?? 0}`, bytes: old },
    { label: `${showPath(change.to ?? change.path)}@${change.version}`, bytes: now },
    all,
  );
  return diff.length > MOST_DIFF ? `${diff.slice(0, MOST_DIFF)}\n(cut here)\n` : diff;
}

/** JSON that cannot close the HTML element that contains it. */
function embedded(value: unknown): string {
  return jsonText(value).replaceAll("<", String.raw`\u003c`);
}

/** The page, for `changes` (oldest first). */
export function historyPage(
  history: History,
  changes: readonly KeptChange[],
  { showSecrets }: PageOptions,
): string {
  const before = new Before(history);
  const shown: Shown[] = changes.map((change) => {
    const diff = diffOf(history, before, change, showSecrets);
    before.passed(change);
    return {
      versions: showVersions(change),
      ms: change.timeMs,
      kind: change.kind,
      by: showAuthor(change),
      path: showPath(change.to ?? change.path),
      where: showWhere(change),
      size: change.size,
      diff,
    };
  });
  const node = escapeMarkup(escapeText(history.node));
  const first = changes[0];
  const last = changes.at(-1);
  const range =
    first === undefined || last === undefined
      ? "no changes"
      : `${counted(changes.length, "change")}, ` +
        `${showTime(first.timeMs)} to ${showTime(last.timeMs)}`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none';
  style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<title>Changes of /etc/pve on ${node}</title>
<style>${PAGE_STYLE}</style>
</head>
<body>
<header>
<h1>Changes of /etc/pve <span>on ${node}</span></h1>
<p>${escapeMarkup(range)}</p>
<input id="filter" type="search" placeholder="Filter: path, command, kind" aria-label="Filter">
</header>
<svg id="timeline" role="img" aria-label="Changes over time"></svg>
<main>
<nav id="files" aria-label="Files"></nav>
<section id="changes"></section>
</main>
<script id="data" type="application/json">${embedded(shown.toReversed())}</script>
<script>${PAGE_SCRIPT}</script>
</body>
</html>
`;
}
