/**
 * The page's style as a text. The page's content security policy allows it by its hash, and no other style or address except `data:`
 * images; so there are no style attributes. Colours stand for groups; everything else is ink.
 */
import { CARD, GROUP_PALETTE } from "./palette.js";

const groupColours = (colours: readonly string[]): string =>
  colours.map((colour, k) => `.g${k} { color: ${colour}; }`).join(" ");

const THEMES = `
:root {
  color-scheme: light dark;
  --page: #f5f4f0; --card: ${CARD.light}; --ink: #16150f; --soft: #54524a; --line: #dcdad2; --hair: #eae8e1; --chip: #f0eee8;
  --mid: #8d8b83; --wrong: #a3160c; --wrong-soft: #fdecea; --shadow: 0 1px 2px rgb(20 20 10 / 6%);
}
${groupColours(GROUP_PALETTE.light)}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #0f0f0e; --card: ${CARD.dark}; --ink: #f3f2ec; --soft: #bcbab0; --line: #3a3935; --hair: #2b2a27; --chip: #282724;
    --mid: #87857c; --wrong: #ff9c8f; --wrong-soft: #3a1b17; --shadow: none;
  }
  ${groupColours(GROUP_PALETTE.dark)}
}`;

const TEXT = `
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: break-word; }
main, header.top, footer { max-width: 1120px; margin: 0 auto; padding: 0 24px; }
header.top { padding-top: 36px; }
h1 { font-size: 28px; line-height: 1.2; letter-spacing: -.02em; margin: 0 0 8px; font-weight: 680; overflow-wrap: anywhere; }
h2 { font-size: 19px; line-height: 1.3; letter-spacing: -.01em; margin: 0 0 6px; font-weight: 650; }
h3 { font-size: 15px; line-height: 1.4; margin: 18px 0 6px; font-weight: 620; overflow-wrap: anywhere; }
p { margin: 0 0 12px; max-width: 78ch; }
a { color: inherit; text-underline-offset: 2px; }
:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; border-radius: 3px; }
.hidden { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.skip { position: absolute; left: -9999px; } .skip:focus { left: 12px; top: 12px; background: var(--card); padding: 6px 12px; z-index: 9; }
.meta { color: var(--soft); display: flex; flex-wrap: wrap; gap: 2px 20px; margin: 0 0 18px; font-size: 14px; max-width: none; }
.meta b { color: var(--ink); font-weight: 600; overflow-wrap: anywhere; }
.finding { font-size: 19px; line-height: 1.45; max-width: 70ch; margin: 0 0 20px; text-wrap: pretty; overflow-wrap: anywhere; } .finding b { font-weight: 680; }
.lead, figcaption, .note { color: var(--soft); } .note, figcaption { font-size: 13.5px; margin: 10px 0 0; max-width: 78ch; }
nav { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 18px; font-size: 14px; }
section, details.card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; margin: 0 0 18px; box-shadow: var(--shadow); min-width: 0; }
section { padding: 22px 24px; }
details.card > summary { padding: 13px 24px; } details.card > .body { padding: 4px 24px 22px; } details.card { margin-bottom: 10px; }
summary { cursor: pointer; } summary h2 { display: inline; font-size: 16px; margin-right: 10px; } summary .note { display: inline; }
.body > details, section > details { margin-top: 14px; } .body > details > summary, section > details > summary { color: var(--soft); font-size: 14px; padding: 4px 0; }
.fault { border: 1px solid var(--wrong); background: var(--wrong-soft); border-radius: 10px; padding: 10px 16px; margin: 0 0 18px; max-width: none; overflow-wrap: anywhere; } .fault b { color: var(--wrong); }
figure { margin: 0; min-width: 0; }
pre { background: var(--chip); border-radius: 8px; padding: 12px 14px; overflow: auto; max-height: 420px; font: 12.5px/1.5 ui-monospace, SFMono-Regular, Menlo, "Liberation Mono", monospace; margin: 0 0 14px; }
.row { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 330px), 1fr)); gap: 20px 36px; align-items: start; } .row > * { min-width: 0; } .row + .lead { margin-top: 16px; }
dl.facts { display: grid; grid-template-columns: minmax(120px, max-content) minmax(0, 1fr); gap: 3px 18px; margin: 0 0 12px; font-variant-numeric: tabular-nums; } dl.facts dt { color: var(--soft); } dl.facts dd { margin: 0; overflow-wrap: anywhere; }
footer { color: var(--soft); font-size: 13.5px; padding-bottom: 36px; padding-top: 8px; }
#tip { position: fixed; z-index: 9; pointer-events: none; background: var(--ink); color: var(--card); border-radius: 7px; padding: 6px 10px; font-size: 13px; line-height: 1.4; white-space: pre-line; max-width: min(340px, 90vw); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; } #tip[hidden] { display: none; }`;

const FIGURES = `
svg { display: block; overflow: visible; } svg text { fill: var(--ink); font-size: 12px; } svg svg { display: inline; }
.tick { fill: var(--soft) !important; font-size: 11.5px !important; font-variant-numeric: tabular-nums; }
.labels { container-type: inline-size; } @container (max-width: 230px) { .tick.minor { display: none; } } @container (max-width: 130px) { .tick.middle { display: none; } }
.area { display: grid; grid-template-columns: 46px minmax(0, 1fr); column-gap: 7px; padding-top: 8px; } .area.square { max-width: 420px; }
.area .y-name { grid-column: 1 / -1; font-size: 12.5px; color: var(--soft); margin: -6px 0 8px; } .area .y-axis { width: 46px; }
.area .x-axis, .area .x-name { grid-column: 2; } .area .x-name { font-size: 12.5px; color: var(--soft); text-align: center; } .area .x-axis { margin-top: 3px; }
.grid { stroke: var(--hair); shape-rendering: crispEdges; } .zero { stroke: var(--ink); stroke-width: 1.5; shape-rendering: crispEdges; }
.diagonal { stroke: var(--mid); stroke-dasharray: 4 4; fill: none; vector-effect: non-scaling-stroke; }
.dot { fill: currentColor; fill-opacity: .85; stroke: var(--card); } .dot:hover { stroke: var(--ink); }
.series, .curve { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; stroke-linecap: round; vector-effect: non-scaling-stroke; } .dashed .series { stroke-dasharray: 6 4; }
.curve.train { stroke: var(--mid); stroke-width: 1.25; stroke-dasharray: 2 4; } .curve.ghost { stroke: var(--mid); stroke-width: 1.25; }
.vertex { fill: transparent; } .vertex.end { fill: currentColor; stroke: var(--card); } .vertex:hover { fill: var(--ink); }
.trial { fill: var(--card); stroke: var(--mid); stroke-width: 1.5; } .trial.chosen { fill: var(--ink); stroke: var(--card); }
.mark { stroke: var(--card); fill: var(--ink); } .mark.kindred { fill: currentColor; } .mark.estimate { fill: var(--card); stroke: currentColor; stroke-width: 1.6; stroke-dasharray: 2.2 1.6; } .mark.base { stroke: var(--mid); stroke-width: 2; fill: none; } .mark.shared, .mark.local, .mark.full { fill: var(--card); stroke: var(--ink); stroke-width: 1.6; }
.whisker { stroke: var(--ink); stroke-width: 1.5; } .whisker-edge { stroke: var(--card); stroke-width: 3.5; } .whisker.thin { stroke-width: 1; opacity: .75; }
.gain { fill: currentColor; } .strip.all .gain { fill: var(--mid); }
.bar .track { fill: var(--hair); } .bar .fill { fill: var(--mid); }
.key { display: inline-block; flex: none; vertical-align: -1.5px; overflow: hidden; } .key rect { fill: currentColor; } .key rect.mark { fill: var(--card); } .group-key { display: inline-flex; gap: 5px; align-items: center; font-variant-numeric: tabular-nums; color: var(--ink); }
.keys { display: flex; flex-wrap: wrap; gap: 4px 18px; color: var(--soft); font-size: 13.5px; margin: 0 0 10px; align-items: center; }
.swatch { display: inline-block; vertical-align: middle; margin-right: 6px; }
.legend { display: inline-flex; flex-wrap: wrap; align-items: center; gap: 4px 8px; color: var(--soft); font-size: 13px; margin-top: 10px; }
image { image-rendering: pixelated; } .legend image { image-rendering: auto; } image.dark { display: none; }
@media (prefers-color-scheme: dark) { image.dark { display: inline; } image.light { display: none; } }
.matrix-place { container-type: inline-size; } .matrix { display: grid; grid-template-columns: auto 5px minmax(0, 1fr); gap: 0 4px; }
.matrix.square { max-width: 640px; } .matrix.square .cells { aspect-ratio: 1; height: auto; } .cells { cursor: crosshair; }
.matrix .names { display: grid; grid-auto-rows: minmax(0, 1fr); height: 0; min-height: 100%; font-size: 11.5px; line-height: 1; color: var(--soft); max-width: 150px; text-align: right; }
.matrix .names span { overflow: hidden; text-overflow: ellipsis; white-space: nowrap; align-self: center; line-height: 1.1; unicode-bidi: isolate; }
.matrix .names { grid-column: 1; grid-row: 2; } .matrix .side { grid-column: 2; grid-row: 2; position: relative; } .matrix .side svg { position: absolute; inset: 0; } .band.top { grid-column: 3; grid-row: 1; } .cells { grid-column: 3; grid-row: 2; }
@container (max-width: 480px) { .matrix .room-1, .matrix .room-2 { display: none; } .matrix .names { max-width: 90px; } } @container (max-width: 640px) { .matrix .room-2 { display: none; } }
.band rect { fill: currentColor; } .band text { font-weight: 600; } .cut { stroke: var(--card); stroke-width: 1.5; } .block { fill: none; stroke: var(--ink); stroke-width: 1.25; } .cursor { fill: none; stroke: var(--ink); stroke-width: 2; }`;

const TABLES = `
.scroll { overflow: auto; max-width: 100%; } .tall { max-height: 560px; border: 1px solid var(--line); border-radius: 8px; }
table { border-collapse: separate; border-spacing: 0; font-variant-numeric: tabular-nums; font-size: 14px; }
th, td { text-align: right; padding: 4px 10px; border-bottom: 1px solid var(--hair); white-space: nowrap; }
th { font-weight: 600; color: var(--soft); border-bottom-color: var(--line); vertical-align: bottom; }
tbody th { color: var(--ink); border-bottom-color: var(--hair); font-weight: 500; vertical-align: middle; } th:first-child, td:first-child, .left { text-align: left; }
td.name, th.name { max-width: 240px; overflow: hidden; text-overflow: ellipsis; unicode-bidi: isolate; } td.wrap { white-space: normal; overflow-wrap: anywhere; min-width: 110px; }
.strong { font-weight: 660; } .soft { color: var(--soft); } .range { color: var(--soft); font-size: 13px; font-weight: 400; white-space: nowrap; } td .range { display: block; }
tr.total td, tr.total th { border-top: 1px solid var(--line); font-weight: 620; } tr.all th, tr.all td { border-bottom-color: var(--line); font-weight: 660; }
thead th { background: var(--card); } .tall thead th { position: sticky; top: 0; z-index: 1; }
th button { all: unset; cursor: pointer; } th button:focus-visible { outline: 2px solid var(--ink); outline-offset: 2px; }
th[aria-sort=ascending] button::after { content: " ↑"; } th[aria-sort=descending] button::after { content: " ↓"; } th[aria-sort] { color: var(--ink); }
table.dots { width: 100%; table-layout: fixed; } table.dots th, table.dots td { padding-top: 0; padding-bottom: 0; height: 22px; border-bottom: 0; } table.dots thead th { height: 26px; border-bottom: 1px solid var(--line); }
table.dots .who { width: 24%; } table.dots tbody .who { overflow: hidden; text-overflow: ellipsis; } .cut, .cut bdi { display: flex; min-width: 0; white-space: pre; } .cut { gap: 5px; } .cut bdi > :first-child { overflow: hidden; text-overflow: ellipsis; } table.dots .figures { width: 64px; } table.dots .ranges { width: 136px; white-space: nowrap; } table.dots .against { width: 76px; } table.dots td.ranges { color: var(--soft); font-size: 13px; } table.dots td.plot, table.dots th.plot { padding-left: 4px; padding-right: 4px; }
table.methods tbody th, table.methods tbody td { height: 42px; border-bottom: 1px solid var(--hair); } table.methods .strip { height: 42px; } table.methods .figures { width: 136px; } table.methods .who small { display: block; color: var(--soft); font-weight: 400; font-size: 12.5px; line-height: 1.2; overflow: hidden; text-overflow: ellipsis; } table.methods .who { width: 220px; }
.tools { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 8px 20px; align-items: center; margin-bottom: 8px; }
input[type=search] { font: inherit; font-size: 14px; padding: 4px 10px; border: 1px solid var(--mid); border-radius: 8px; background: var(--card); color: var(--ink); width: 220px; max-width: 100%; }
.cards { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 18px; margin-top: 14px; } .cards > * { border: 1px solid var(--line); border-radius: 8px; padding: 12px 14px; min-width: 0; }
.cards h3 { margin: 0 0 8px; } .cards h3 .soft { font-weight: 400; } .cards table.dots .who { width: 92px; } .cards table.dots .figures { width: 52px; } .cards table.dots .ranges { width: 104px; } .cards th, .cards td { padding-left: 0; padding-right: 6px; }
.cards .head { border-top: 3px solid currentColor; margin: -12px -14px 10px; border-radius: 8px 8px 0 0; }
.chips { display: flex; flex-wrap: wrap; gap: 4px; margin: 8px 0 0; padding: 0; list-style: none; } .chip { background: var(--chip); border-radius: 6px; padding: 1px 8px; font-size: 13px; max-width: 100%; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; unicode-bidi: isolate; } .chip.off { outline: 1.5px dashed var(--ink); outline-offset: -1.5px; }
.panels { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 250px), 1fr)); gap: 16px 24px; } .panels > * { min-width: 0; } .panels h3 { margin: 0 0 4px; display: flex; justify-content: space-between; gap: 8px; font-size: 14px; } .panels h3 .soft { font-weight: 400; font-variant-numeric: tabular-nums; }
.costs { display: grid; grid-template-columns: 76px minmax(40px, 1fr) 84px; gap: 3px 10px; align-items: center; font-size: 13.5px; margin: 0; font-variant-numeric: tabular-nums; } .costs.long { grid-template-columns: minmax(110px, max-content) minmax(40px, 1fr) 84px; } .costs dt, .costs dd { margin: 0; } .costs dd:nth-of-type(2n) { text-align: right; }
.tabs > input { position: absolute; opacity: 0; } .tabs > label { display: inline-block; padding: 3px 12px; border: 1px solid var(--line); border-radius: 8px; font-size: 13.5px; cursor: pointer; color: var(--soft); margin: 0 4px 12px 0; }
.tabs > input:checked + label { background: var(--chip); color: var(--ink); border-color: var(--mid); font-weight: 600; } .tabs > input:focus-visible + label { outline: 2px solid var(--ink); outline-offset: 1px; }
.tabs > .pane { display: none; } .tabs > input:nth-of-type(1):checked ~ .pane:nth-of-type(1), .tabs > input:nth-of-type(2):checked ~ .pane:nth-of-type(2), .tabs > input:nth-of-type(3):checked ~ .pane:nth-of-type(3), .tabs > input:nth-of-type(4):checked ~ .pane:nth-of-type(4), .tabs > input:nth-of-type(5):checked ~ .pane:nth-of-type(5) { display: block; }
table.fit th, table.fit td { white-space: normal; } table.counts td, table.counts th { text-align: center; padding: 3px 7px; min-width: 34px; } table.counts .name { text-align: left; max-width: 150px; } table.counts thead th { max-width: 110px; overflow: hidden; text-overflow: ellipsis; }
table.planted thead .group-key { flex-direction: column; gap: 2px; } .heat1 { background: color-mix(in oklab, var(--ink) 9%, var(--card)); } .heat2 { background: color-mix(in oklab, var(--ink) 20%, var(--card)); } .heat3 { background: color-mix(in oklab, var(--ink) 34%, var(--card)); } .heat4 { background: var(--ink); color: var(--card); font-weight: 640; } td.right { outline: 1.5px solid var(--mid); outline-offset: -2px; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 420px), 1fr)); gap: 18px 32px; } .examples > * { min-width: 0; } .examples blockquote { margin: 4px 0 8px; padding: 8px 12px; border-left: 3px solid var(--line); background: var(--chip); white-space: pre-wrap; overflow-wrap: anywhere; font-size: 14px; } .examples blockquote mark { background: none; color: inherit; font-weight: 680; text-decoration: underline; text-underline-offset: 3px; }`;

const PLACES = `
@media (max-width: 1040px) { .wider { display: none; } }
@media (max-width: 640px) {
  .whisker-edge { stroke: var(--card); stroke-width: 3.5; } .whisker.thin { stroke-width: .6; opacity: .5; } table.planted td, table.planted th { padding: 3px 2px; min-width: 24px; } table.planted .name { max-width: 96px; }
  main, header.top, footer { padding: 0 14px; } header.top { padding-top: 24px; } section { padding: 16px 14px; } details.card > summary { padding: 11px 14px; } details.card > .body { padding: 2px 14px 16px; }
  h1 { font-size: 23px; } .finding { font-size: 17px; } .wide { display: none; } table.dots .who { width: 34%; } table.gains .who { width: 42%; } table.dots .figures { width: 62px; } table.methods .who { width: 92px; } table.methods .who small { display: none; } table.methods .figures { width: 116px; }
  th, td { padding-left: 6px; padding-right: 6px; } dl.facts { grid-template-columns: minmax(0, 2fr) minmax(0, 3fr); } .area { grid-template-columns: 38px minmax(0, 1fr); } .area .y-axis { width: 38px; } summary .note { display: block; margin: 2px 0 0; }
}
@media print {
  :root { --page: #fff; --shadow: none; } body { font-size: 11pt; } section, .cards > *, .panels > *, tr { break-inside: avoid; } .tall, pre { max-height: none; } .scroll { overflow: visible; } nav, .skip, input[type=search], .tabs > label { display: none; } .tabs > .pane { display: block !important; } main, header.top, footer { max-width: none; padding: 0; } svg, td { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
@media (prefers-reduced-motion: no-preference) { html { scroll-behavior: smooth; } }
`;

export const STYLE = [THEMES, TEXT, FIGURES, TABLES, PLACES].join("\n");
