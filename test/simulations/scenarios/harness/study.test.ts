import assert from "node:assert/strict";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test from "node:test";
import { seriesPlot } from "../../../../simulations/report/figures/plots.js";
import { STYLE } from "../../../../simulations/report/style.js";
import { type Findings, findingsText, writeFindings } from "../../../../simulations/scenarios/harness/study.js";

const findings: Findings = {
  title: "Errors <of> a sketch",
  facts: [["model", "tiny & small"]],
  findings: [
    {
      title: "Error against width",
      text: "The error falls with the width.",
      table: {
        head: ["width", "error"],
        rows: [
          ["100", "0.20"],
          ["<b>400</b>", "0.10"],
        ],
      },
      figures: [
        {
          figure: seriesPlot(
            [
              {
                name: "ours & theirs",
                points: [
                  { x: 100, y: 0.2 },
                  { x: 400, y: 0.1 },
                ],
              },
            ],
            { x: "width", y: "error", logX: true, label: "Error against width" },
          ),
          caption: "Lower is better.",
        },
      ],
    },
  ],
  data: { errors: [0.2, 0.1] },
};

test("a study's page contains its findings, escaped, and study.json beside it the numbers", async (t) => {
  const out = await mkdtemp(join(tmpdir(), "kindred-study-"));
  t.after(() => rm(out, { recursive: true, force: true }));
  await writeFindings(out, findings);
  const page = await readFile(join(out, "study.html"), "utf8");
  for (const part of [
    "Errors &lt;of&gt; a sketch",
    "tiny &amp; small",
    "&lt;b&gt;400&lt;/b&gt;",
    "ours &amp; theirs",
    "<svg",
  ])
    assert.ok(page.includes(part), part);
  assert.match(page, /Content-Security-Policy" content="default-src 'none'/);
  assert.deepEqual(JSON.parse(await readFile(join(out, "study.json"), "utf8")), {
    title: findings.title,
    facts: { model: "tiny & small" },
    data: findings.data,
  });
});

test("the terminal's text has the same tables in columns", () => {
  assert.equal(
    findingsText(findings),
    [
      "Errors <of> a sketch",
      "",
      "model tiny & small",
      "",
      "Error against width",
      "  The error falls with the width.",
      "  width       error",
      "  100          0.20",
      "  <b>400</b>   0.10",
    ].join("\n"),
  );
});

test("points are placed by their axes, linear and logarithmic", () => {
  const at = (logX: boolean): number[] => {
    const points = [100, 200, 1000].map((x) => ({ x, y: x }));
    const { text } = seriesPlot([{ name: "one", points }], { x: "x", y: "y", logX, label: "test" });
    return [...text.matchAll(/<circle class="dot" cx="([\d.]+)%" cy="[\d.]+%" r="3.5"/g)].map(([, cx]) => Number(cx));
  };
  const share = ([a, b, c]: number[]) => (b! - a!) / (c! - a!);
  assert.ok(Math.abs(share(at(false)) - 1 / 9) < 1e-3);
  assert.ok(Math.abs(share(at(true)) - Math.log10(2)) < 1e-3);
});

test("a figure of one point has axes of positive length", () => {
  for (const logX of [false, true]) {
    const { text } = seriesPlot([{ name: "one", points: [{ x: 5, y: 3 }] }], { x: "x", y: "y", logX, label: "test" });
    assert.doesNotMatch(text, /NaN|Infinity/);
  }
});

test("every line of a figure has a colour of its own in the page's style, up to eight, and then a dash", () => {
  const points = [{ x: 1, y: 1 }];
  const series = Array.from({ length: 9 }, (_, k) => ({ name: `line ${k}`, points }));
  const { text } = seriesPlot(series, { x: "x", y: "y", label: "test" });
  const classes = [...text.matchAll(/<g class="([^"]+)"/g)].map(([, name]) => name!);
  assert.deepEqual([...new Set(classes)].length, 9);
  const colours = classes.slice(0, 8).map((name) => STYLE.match(new RegExp(`\\.${name} \\{ color: (#\\w+)`))?.[1]);
  assert.equal(new Set(colours).size, 8);
  assert.ok(!colours.includes(undefined));
});
