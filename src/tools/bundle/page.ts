/**
 * The index page of a support bundle: the verdict, the findings and every part.
 */
import { escapeMarkup } from "../../base/escape.ts";
import type { Report } from "../check/report.ts";
import type { Part } from "./sources.ts";

const STYLE = `
:root { color-scheme: light dark; --fg: #1c2128; --bg: #fff; --dim: #667; --line: #d8dee4;
  --card: #f6f8fa; --fail: #b42318; --warn: #b25e00; --pass: #0a7a33; }
@media (prefers-color-scheme: dark) { :root { --fg: #e6e8eb; --bg: #15181d; --dim: #9aa4af;
  --line: #30363d; --card: #1d2128; --fail: #ff8a80; --warn: #ffb74d; --pass: #5ad07f; } }
body { margin: 0 auto; padding: 1.2rem; max-width: 70rem; color: var(--fg);
  background: var(--bg); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin-top: 2rem; }
.fail { color: var(--fail); } .warn, .notice { color: var(--warn); } .pass { color: var(--pass); }
article, details { border: 1px solid var(--line); border-radius: 6px; background: var(--card);
  margin: .5rem 0; padding: .5rem .8rem; overflow-wrap: anywhere; }
small { color: var(--dim); }
pre { overflow: auto; max-height: 32rem; font: 12.5px/1.45 ui-monospace, monospace; }
summary { cursor: pointer; }
`;

/** Characters of a part that the page shows; the file beside the page is complete. */
const SHOWN = 200_000;

function finding({ severity, code, text, cause, fix, advice }: ShownFinding): string {
  const [why, next] = [cause, advice].map((words) =>
    words === undefined ? "" : `<br><small>${escapeMarkup(words)}</small>`,
  );
  const how = fix === undefined ? "" : `<pre>${escapeMarkup(fix)}</pre>`;
  const head = `<b class="${severity}">${severity.toUpperCase()}</b>`;
  const line = `${head} ${escapeMarkup(text)} <small>${code ?? ""}</small>`;
  return `<article>${line}${why}${how}${next}</article>`;
}

/** The part of a finding that the page shows. */
interface ShownFinding {
  readonly severity: string;
  readonly code?: string | undefined;
  readonly text: string;
  readonly cause?: string | undefined;
  readonly fix?: string | undefined;
  readonly advice?: string | undefined;
}

function section({ name, about, text }: Part): string {
  const cut = text.length > SHOWN ? "(the beginning is in the file)\n" : "";
  const body = escapeMarkup(cut + text.slice(-SHOWN));
  const link = `<a href="${escapeMarkup(name)}">${escapeMarkup(name)}</a>`;
  return `<details><summary>${escapeMarkup(about)} <small>${link}</small></summary>
<pre>${body}</pre></details>`;
}

/** The page. */
export function indexPage(report: Report, parts: readonly Part[]): string {
  const { verdict, host, at, findings } = report;
  const shown = findings.filter(({ severity }) => severity !== "pass" && severity !== "skip");
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>pmxcfs-ipc: ${escapeMarkup(host)}</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Support bundle of ${escapeMarkup(host)}</h1>
<p><small>${new Date(at).toISOString()}; no contents of files are in it, secrets in logs and
configuration are masked as ***</small></p>
<p><b class="${verdict.severity}">${escapeMarkup(verdict.text)}</b></p>
<h2>Findings</h2>
${shown.map(finding).join("\n") || "<p>Nothing is wrong.</p>"}
<h2>Parts</h2>
${parts.map(section).join("\n")}
</body>
</html>
`;
}
