/**
 * The page's style and script as texts. The page's content security policy allows them by their hashes, and no other script, style or
 * address except `data:` images; so there are no style attributes.
 */

export const STYLE = `
:root {
  color-scheme: light dark;
  --page: #f6f5f1; --card: #fdfdfb; --ink: #14140f; --soft: #55534c; --faint: #6f6d65; --line: #e2e0d8; --hair: #eceae3;
  --base: #8a8880; --shared: #d9570f; --local: #0f8a5f; --full: #9a3f9e; --kindred: #1f66c7; --kindred-soft: #e4eefb;
  --good: #1f66c7; --bad: #c4480f; --chip: #efede6; --shadow: 0 1px 2px rgb(20 20 10 / 5%), 0 6px 20px rgb(20 20 10 / 4%);
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f0f0e; --card: #191918; --ink: #f3f2ec; --soft: #bfbdb3; --faint: #9b998f; --line: #33322f; --hair: #282724;
    --base: #98968c; --shared: #f0803c; --local: #35b985; --full: #cf82d3; --kindred: #62a2f5; --kindred-soft: #17273c;
    --good: #6fabf8; --bad: #f08a4c; --chip: #262522; --shadow: none;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; -webkit-text-size-adjust: 100%; }
main, header.top, footer { max-width: 1180px; margin: 0 auto; padding: 0 24px; }
header.top { padding-top: 44px; }
h1 { font-size: 30px; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 6px; font-weight: 680; overflow-wrap: anywhere; }
h2 { font-size: 19px; letter-spacing: -.01em; margin: 0 0 4px; font-weight: 650; }
h3 { font-size: 14px; margin: 0 0 8px; font-weight: 620; }
p { margin: 0 0 12px; max-width: 76ch; }
.meta { color: var(--soft); display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 20px; }
.meta b { color: var(--ink); font-weight: 600; }
.finding { font-size: 19px; line-height: 1.45; max-width: 68ch; margin: 0 0 24px; text-wrap: pretty; }
.finding b { color: var(--kindred); font-weight: 650; }
nav { display: flex; flex-wrap: wrap; gap: 4px 16px; margin: 0 0 18px; font-size: 14px; }
a { color: var(--kindred); text-decoration: none; } a:hover { text-decoration: underline; }
section { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 24px; margin: 0 0 20px; box-shadow: var(--shadow); min-width: 0; }
section > p.lead, p.lead { color: var(--soft); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(190px, 1fr)); gap: 14px; margin-bottom: 24px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 18px 14px; box-shadow: var(--shadow); }
.tile.kindred { background: var(--kindred-soft); border-color: var(--kindred); }
.tile .what { color: var(--soft); display: flex; align-items: center; gap: 7px; font-size: 14px; }
.tile .big { font-size: 34px; line-height: 1.2; font-weight: 640; letter-spacing: -.02em; font-variant-numeric: tabular-nums; }
.tile .big small { font-size: 18px; font-weight: 500; color: var(--soft); letter-spacing: 0; }
.tile .more { color: var(--soft); font-size: 13.5px; font-variant-numeric: tabular-nums; }
.good { color: var(--good); } .bad { color: var(--bad); }
.split { display: grid; grid-template-columns: minmax(0, auto) minmax(260px, 1fr); gap: 28px 36px; align-items: start; }
.split > * { min-width: 0; }
@media (max-width: 860px) { .split { grid-template-columns: minmax(0, 1fr); } section { padding: 18px; } }
.row { display: flex; flex-wrap: wrap; gap: 24px 40px; align-items: flex-start; }
.row > * { min-width: 0; } .block-row { margin: 14px 0 20px; } h3.gap { margin-top: 24px; }
figure { margin: 0; min-width: 0; } figcaption { color: var(--soft); font-size: 13.5px; margin-top: 8px; max-width: 62ch; }
.scroll { overflow: auto; max-width: 100%; }
svg { display: block; } svg text { fill: var(--ink); font-size: 12px; }
svg.plot, svg.panel { max-width: 100%; height: auto; }
svg.matrix { max-width: 100%; height: auto; }
svg.matrix image, .legend image { image-rendering: pixelated; }
.legend image { image-rendering: auto; }
svg.matrix[data-matrix] { cursor: crosshair; }
image.dark { display: none; }
@media (prefers-color-scheme: dark) { image.dark { display: inline; } image.light { display: none; } }
svg text.name { font-size: 11.5px; fill: var(--soft); } svg text.band { font-weight: 600; font-size: 12px; }
.bracket { stroke: var(--faint); stroke-width: 1.5; }
.cut { stroke: var(--card); stroke-width: 1.5; }
.block { fill: none; stroke: var(--ink); stroke-width: 1.25; }
.cursor { fill: none; stroke: var(--ink); stroke-width: 2; }
.grid { stroke: var(--hair); stroke-width: 1; shape-rendering: crispEdges; }
.tick { fill: var(--faint) !important; font-size: 11px !important; font-variant-numeric: tabular-nums; }
.axis { fill: var(--soft) !important; } .better { fill: var(--kindred); opacity: .07; } .under { margin: 0 0 18px; }
.diagonal { stroke: var(--faint); stroke-width: 1; stroke-dasharray: 3 3; fill: none; }
.dot { fill: var(--kindred); fill-opacity: .72; stroke: var(--card); stroke-width: 1; } .dot:hover { fill-opacity: 1; stroke: var(--ink); }
.mark { stroke: var(--card); stroke-width: 1; }
.mark.base { fill: var(--card); stroke: var(--base); stroke-width: 1.6; } .mark.shared { fill: var(--shared); }
.mark.local { fill: var(--local); } .mark.full { fill: var(--full); } .mark.kindred { fill: var(--kindred); }
.lift { stroke-width: 2; } .lift.good { stroke: var(--good); opacity: .45; } .lift.bad { stroke: var(--bad); opacity: .65; }
.curve { fill: none; stroke-linejoin: round; stroke-linecap: round; }
.curve.validation { stroke: var(--kindred); stroke-width: 2; } .curve.train { stroke: var(--faint); stroke-width: 1.25; stroke-dasharray: 2 3; }
.curve.ghost { stroke: var(--shared); stroke-width: 1.25; opacity: .55; }
.shared-panel .curve.validation { stroke: var(--shared); } .shared-panel .vertex.end { fill: var(--shared); }
.series { fill: none; stroke-width: 2; stroke-linejoin: round; } .series-0 { color: var(--kindred); } .series-1 { color: var(--shared); } .series-2 { color: var(--local); } .series-3 { color: var(--full); } .series-4 { color: var(--base); } .series-5 { color: var(--ink); }
[class*=series-] path { stroke: currentColor; } [class*=series-] circle { fill: currentColor; }
.vertex { fill: transparent; } .vertex.end { fill: var(--kindred); stroke: var(--card); } .vertex:hover { fill: var(--ink); }
.trial { fill: var(--card); stroke: var(--faint); stroke-width: 1.5; } .trial.chosen { fill: var(--kindred); stroke: var(--card); }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(240px, 1fr)); gap: 18px 20px; }
.panels h3 { margin: 0 0 2px; display: flex; justify-content: space-between; gap: 8px; } .panels h3 span { color: var(--soft); font-weight: 400; font-variant-numeric: tabular-nums; }
.bar { display: inline-block; vertical-align: middle; } .bar .track { fill: var(--hair); } .bar .fill { fill: var(--faint); }
.bar.kindred .fill { fill: var(--kindred); } .bar.shared .fill { fill: var(--shared); } .bar.local .fill { fill: var(--local); } .bar.full .fill { fill: var(--full); } .bar.base .fill { fill: var(--base); }
.key { display: inline-block; vertical-align: -1.5px; flex: none; }
.keys { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 13.5px; margin: 0 0 10px; align-items: center; }
.swatch { display: inline-block; vertical-align: middle; margin-right: 6px; }
.legend { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; color: var(--soft); font-size: 13px; margin-top: 10px; } .legend .aside { color: var(--faint); }
.tabs input { position: absolute; opacity: 0; pointer-events: none; }
.tabs label { display: inline-block; padding: 3px 12px; border: 1px solid var(--line); font-size: 13.5px; cursor: pointer; color: var(--soft); margin-bottom: 12px; }
.tabs label:first-of-type { border-radius: 8px 0 0 8px; } .tabs label:last-of-type { border-radius: 0 8px 8px 0; margin-left: -1px; }
.tabs input:checked + label { background: var(--chip); color: var(--ink); font-weight: 600; } .tabs input:focus-visible + label { outline: 2px solid var(--kindred); outline-offset: 1px; }
#view-standard:checked ~ .panes .raw, #view-raw:checked ~ .panes .standard { display: none; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid var(--hair); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); border-bottom-color: var(--line); vertical-align: bottom; }
th:first-child, td:first-child, .left { text-align: left !important; }
td.name, th.name { max-width: 260px; overflow: hidden; text-overflow: ellipsis; unicode-bidi: isolate; }
td.strong { font-weight: 640; } td.soft { color: var(--faint); }
tr.total td { border-top: 1px solid var(--line); font-weight: 620; }
table.clients { width: 100%; } table.clients th, table.clients td { padding-left: 7px; padding-right: 7px; } svg.strip text { font-weight: 400; }
table.clients td { padding-top: 0; padding-bottom: 0; height: 25px; } table.clients tbody tr:hover td { background: var(--chip); }
table.clients thead th { position: sticky; top: 0; background: var(--card); z-index: 1; } .tall { max-height: 640px; border: 1px solid var(--line); border-radius: 8px; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--kindred); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " ↑"; } th[aria-sort=descending] button::after { content: " ↓"; } th[aria-sort] { color: var(--ink); }
.tools { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 8px 20px; align-items: center; margin-bottom: 8px; }
input[type=search] { font: inherit; font-size: 14px; padding: 4px 10px; border: 1px solid var(--line); border-radius: 8px; background: var(--card); color: var(--ink); width: 220px; }
table.confusion td, table.confusion th { text-align: center; min-width: 44px; } table.confusion.dense td, table.confusion.dense th { min-width: 26px; padding: 2px 4px; font-size: 12.5px; } table.confusion td.cell { border: 1px solid var(--card); border-radius: 6px; }
.heat1 { background: color-mix(in oklab, var(--kindred) 14%, var(--card)); } .heat2 { background: color-mix(in oklab, var(--kindred) 30%, var(--card)); }
.heat3 { background: color-mix(in oklab, var(--kindred) 48%, var(--card)); } .heat4 { background: var(--kindred); color: var(--card); font-weight: 640; }
.score { font-size: 34px; font-weight: 640; letter-spacing: -.02em; line-height: 1.2; } .score small { font-size: 14px; font-weight: 400; color: var(--soft); letter-spacing: 0; display: block; }
.chips { display: flex; flex-wrap: wrap; gap: 4px; align-items: flex-start; } .chip { background: var(--chip); border-radius: 6px; padding: 1px 8px; font-size: 13px; max-width: 220px; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate; }
.chip.off { outline: 1.5px solid var(--bad); }
dl.groups { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: 8px 14px; } dl.groups dt { font-weight: 600; } dl.groups dd { margin: 0; min-width: 0; } dt small { display: block; font-weight: 400; color: var(--soft); }
details { margin-top: 12px; } summary { cursor: pointer; color: var(--soft); }
pre { background: var(--chip); border-radius: 8px; padding: 14px 16px; overflow: auto; max-height: 420px; font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace; margin: 0; }
dl.facts { display: grid; grid-template-columns: auto 1fr; gap: 3px 18px; margin: 0; font-variant-numeric: tabular-nums; } dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
#tip { position: fixed; z-index: 9; pointer-events: none; background: var(--ink); color: var(--card); border-radius: 7px; padding: 6px 10px; font-size: 13px; line-height: 1.4; white-space: pre-line; max-width: 340px; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
#tip[hidden] { display: none; }
footer { color: var(--faint); font-size: 13.5px; padding-bottom: 40px; }
@media print { section, .tile { break-inside: avoid; box-shadow: none; } .tall { max-height: none; } nav, input[type=search] { display: none; } }
`;

/** Values at the pointer, sorting and filtering. The page is complete without the script. */
export const SCRIPT = `
"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const tip = document.getElementById("tip");
function show(text, event) {
  tip.textContent = text;
  tip.hidden = false;
  const box = tip.getBoundingClientRect();
  let x = event.clientX + 14, y = event.clientY + 14;
  if (x + box.width > innerWidth - 8) x = event.clientX - box.width - 14;
  if (y + box.height > innerHeight - 8) y = event.clientY - box.height - 14;
  tip.style.left = Math.max(4, x) + "px";
  tip.style.top = Math.max(4, y) + "px";
}
function hide() { tip.hidden = true; }
function floats(base64) {
  return new Float32Array(Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer);
}
function shown(x) {
  return (x < 0 ? "\\u2212" : "") + Number(Math.abs(x).toPrecision(4));
}
for (const svg of document.querySelectorAll("[data-matrix]")) {
  const matrix = data[svg.dataset.matrix];
  const values = matrix.layers.map((layer) => floats(layer.values));
  const [left, top, width, height] = svg.dataset.area.split(" ").map(Number);
  const cursor = svg.querySelector(".cursor");
  const rows = matrix.rows.length, columns = matrix.columns.length;
  svg.addEventListener("pointermove", (event) => {
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse());
    const c = Math.floor(((point.x - left) / width) * columns), r = Math.floor(((point.y - top) / height) * rows);
    if (c < 0 || r < 0 || c >= columns || r >= rows) { cursor.setAttribute("visibility", "hidden"); hide(); return; }
    cursor.setAttribute("visibility", "visible");
    cursor.setAttribute("x", left + (c * width) / columns);
    cursor.setAttribute("y", top + (r * height) / rows);
    const lines = matrix.layers.map((layer, k) => layer.label + " " + shown(values[k][r * columns + c]));
    show([matrix.rows[r] + matrix.joint + matrix.columns[c], ...lines].join("\\n"), event);
  });
  svg.addEventListener("pointerleave", () => { cursor.setAttribute("visibility", "hidden"); hide(); });
}
document.addEventListener("pointerover", (event) => {
  const text = event.target.dataset && event.target.dataset.tip;
  if (text) { show(text, event); event.target.addEventListener("pointerleave", hide, { once: true }); }
});
for (const table of document.querySelectorAll("table.clients")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = head.querySelector("button");
    if (!button) return;
    button.addEventListener("click", () => {
      const first = head.dataset.first || "descending";
      const other = first === "descending" ? "ascending" : "descending";
      const way = head.getAttribute("aria-sort") === first ? other : first;
      for (const one of heads) one.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", way);
      const sign = way === "ascending" ? 1 : -1;
      const value = (row) => {
        const cell = row.cells[column], sort = cell.dataset.sort;
        return sort === undefined ? cell.textContent : sort === "" ? null : Number(sort);
      };
      const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
      const rows = [...body.rows].map((row) => [value(row), row]);
      rows.sort(([a], [b]) => (a === null || b === null ? (a === null) - (b === null) : sign * compare(a, b)));
      body.append(...rows.map(([, row]) => row));
    });
  });
  const filter = document.getElementById("filter");
  if (filter) filter.addEventListener("input", () => {
    const wanted = filter.value.trim().toLowerCase();
    for (const row of body.rows) row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
  });
}
`;
