/** The style and the script of the history page (page.ts), inserted unchanged. */

export const PAGE_STYLE = `
:root { color-scheme: light dark; --bg: #fff; --fg: #1c2128; --dim: #667; --line: #d8dee4;
  --add: #0a7a33; --del: #b42318; --accent: #e57000; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --bg: #15181d; --fg: #e6e8eb; --dim: #9aa4af;
  --line: #30363d; --add: #5ad07f; --del: #ff8a80; --card: #1d2128; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--bg); color: var(--fg);
  font: 15px/1.45 system-ui, sans-serif; }
header { padding: 1rem 1.25rem .5rem; }
h1 { font-size: 1.25rem; margin: 0; }
h1 span, header p { color: var(--dim); font-weight: normal; }
header p { margin: .2rem 0 .7rem; }
input { width: 100%; max-width: 32rem; padding: .45rem .7rem; font: inherit; color: inherit;
  background: var(--card); border: 1px solid var(--line); border-radius: 6px; }
#timeline { display: block; width: 100%; height: 84px; padding: 0 1.25rem; }
#timeline rect { fill: var(--accent); } #timeline rect:hover { opacity: .6; }
#timeline text { fill: var(--dim); font-size: 11px; }
main { display: grid; grid-template-columns: minmax(12rem, 20rem) 1fr; gap: 1rem;
  padding: .5rem 1.25rem 2rem; }
nav { max-height: calc(100vh - 13rem); overflow: auto; position: sticky; top: .5rem; }
nav button { display: flex; width: 100%; justify-content: space-between; gap: .5rem; border: 0;
  background: none; color: inherit; font: 13px/1.5 ui-monospace, monospace; text-align: left;
  padding: .2rem .4rem; border-radius: 4px; cursor: pointer; overflow-wrap: anywhere; }
nav button:hover, nav button[aria-pressed=true] { background: var(--card); }
nav button span { color: var(--dim); }
details { border: 1px solid var(--line); border-radius: 6px; margin: 0 0 .5rem;
  background: var(--card); }
summary { padding: .5rem .7rem; cursor: pointer; display: grid; gap: .1rem .8rem;
  grid-template-columns: 5.5rem 1fr auto; }
summary b { overflow-wrap: anywhere; font-weight: 600; }
summary small { color: var(--dim); grid-column: 2 / -1; }
summary time { color: var(--dim); white-space: nowrap; }
.kind { color: var(--accent); }
.kind.remove { color: var(--del); } .kind.create, .kind.mkdir { color: var(--add); }
pre { margin: 0; padding: .6rem .7rem; overflow: auto; border-top: 1px solid var(--line);
  font: 12.5px/1.45 ui-monospace, monospace; }
pre .add { color: var(--add); } pre .del { color: var(--del); } pre .head { color: var(--dim); }
@media (max-width: 46rem) { main { grid-template-columns: 1fr; } nav { position: static;
  max-height: 9rem; border-bottom: 1px solid var(--line); }
  summary { grid-template-columns: 1fr auto; }
  summary b, summary small { grid-column: 1 / -1; }
  summary time { grid-row: 1; grid-column: 2; } }
`;

export const PAGE_SCRIPT = `
"use strict";
const all = JSON.parse(document.getElementById("data").textContent);
const make = (name, text, kind) => { const node = document.createElement(name);
  if (text !== undefined) node.textContent = text; if (kind) node.className = kind; return node; };
const when = (ms) => new Date(ms).toLocaleString();
const list = document.getElementById("changes"), files = document.getElementById("files");
const filter = document.getElementById("filter"), line = document.getElementById("timeline");
let chosen = "", from = -Infinity, to = Infinity;
function diff(text) {
  const pre = make("pre");
  for (const row of text.split("\\n")) {
    const isHead = /^(\\+\\+\\+|---|@@)/.test(row);
    const kind = isHead ? "head" : row[0] === "+" ? "add" : row[0] === "-" ? "del" : "";
    pre.append(make("span", row + "\\n", kind));
  }
  return pre;
}
function show() {
  const word = filter.value.toLowerCase();
  const picked = all.filter((each) => (chosen === "" || each.path === chosen) && each.ms >= from
    && each.ms < to && (each.where + each.by + each.kind).toLowerCase().includes(word));
  list.replaceChildren(...picked.slice(0, 500).map((each) => {
    const box = make("details"), head = make("summary");
    head.append(make("span", each.kind, "kind " + each.kind), make("b", each.where),
      make("time", when(each.ms)),
      make("small", ["version " + each.versions, each.by, each.size + " bytes"].join(" \\u00b7 ")));
    box.append(head);
    box.addEventListener("toggle", () => {
      if (!box.open || box.children.length > 1) return;
      box.append(each.diff === "" ? make("pre", "no content changed", "head") : diff(each.diff));
    });
    return box;
  }));
  if (picked.length > 500) list.append(make("p", picked.length - 500 + " more: narrow the filter"));
  if (picked.length === 0) list.append(make("p", "No such change."));
}
function listFiles() {
  const counts = new Map();
  for (const each of all) counts.set(each.path, (counts.get(each.path) || 0) + 1);
  const rows = [["", all.length], ...[...counts].sort((a, b) => b[1] - a[1]).slice(0, 400)];
  files.replaceChildren(...rows.map(([path, count]) => {
    const button = make("button", path === "" ? "all files" : path);
    button.append(make("span", String(count)));
    button.setAttribute("aria-pressed", String(path === chosen));
    button.addEventListener("click", () => { chosen = path; listFiles(); show(); });
    return button;
  }));
}
function drawTimeline() {
  if (all.length === 0) return;
  const width = line.clientWidth || 600, bars = Math.max(10, Math.min(120, Math.floor(width / 9)));
  const first = all[all.length - 1].ms, last = all[0].ms + 1;
  const span = Math.max(1, (last - first) / bars);
  const counts = new Array(bars).fill(0);
  for (const each of all) counts[Math.min(bars - 1, Math.floor((each.ms - first) / span))]++;
  const most = Math.max(...counts), svg = "http://www.w3.org/2000/svg";
  line.setAttribute("viewBox", "0 0 " + bars * 9 + " 84");
  line.setAttribute("preserveAspectRatio", "none");
  line.replaceChildren(...counts.map((count, index) => {
    const bar = document.createElementNS(svg, "rect");
    const height = count === 0 ? 0 : 6 + 60 * count / most;
    const place = { x: index * 9 + 1, y: 70 - height, width: 7, height };
    for (const [name, value] of Object.entries(place)) bar.setAttribute(name, value);
    const title = document.createElementNS(svg, "title");
    title.textContent = count + " changes from " + when(first + index * span);
    bar.append(title);
    bar.addEventListener("click", () => {
      const start = first + index * span;
      const same = from === start;
      from = same ? -Infinity : start;
      to = same ? Infinity : start + span;
      show();
    });
    return bar;
  }));
}
filter.addEventListener("input", show);
addEventListener("resize", drawTimeline);
listFiles(); drawTimeline(); show();
`;
