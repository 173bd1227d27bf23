import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as format from "../../../shared/base/format.js";
import { colourAt, DIVERGING, paletteOf } from "../../../simulations/report/colours.js";
import { escapeHtml, html, Markup } from "../../../simulations/report/markup.js";
import { at, byClient } from "../../../simulations/report/types.js";
import {
  compare,
  contrast,
  groupMean,
  spreadOf,
  standardise,
  ticks,
  viewOf,
} from "../../../simulations/report/views.js";
import { sampleReport } from "./sample.js";

test("standardised rows have mean 0 and deviation 1 over the other clients, at any level and scale of the row", () => {
  const number = fc.integer({ min: -1000, max: 1000 }).map((x) => x / 100);
  fc.assert(
    fc.property(
      fc
        .integer({ min: 3, max: 9 })
        .chain((n) => fc.array(fc.array(number, { minLength: n, maxLength: n }), { minLength: n, maxLength: n })),
      (rows) => {
        const n = rows.length;
        const z = standardise(rows);
        rows.forEach((row, i) => {
          const others = row.filter((_, j) => j !== i);
          if (Math.max(...others) === Math.min(...others)) return;
          const values = others.map((_, k) => z[i * n + (k < i ? k : k + 1)] ?? 0);
          const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
          const variance = values.reduce((sum, x) => sum + x * x, 0) / values.length;
          assert.ok(Math.abs(mean) < 1e-9 && Math.abs(variance - 1) < 1e-9);
        });
        const moved = standardise(rows.map((row, i) => row.map((x) => (i + 1) * x - 3 * i)));
        moved.forEach((x, k) => {
          assert.ok(Math.abs(x - (z[k] ?? 0)) < 1e-9 * Math.max(1, Math.abs(x)));
        });
      },
    ),
  );
});

test("a row without variation gives zeros", () => {
  assert.deepEqual(
    [
      ...standardise([
        [9, 2, 2],
        [1, 0, 3],
        [4, 4, 0],
      ]),
    ].slice(0, 3),
    [0, 0, 0],
  );
});

test("the size of a standard deviation is in the affinity's own unit", () => {
  const rows = [
    [99, 1, 3],
    [2, 99, 6],
    [5, 5, 99],
  ];
  assert.equal(spreadOf(rows), 1, "the median of 1, 2 and 0");
});

test("a client fares better inside its group than across groups, as the sample is made", () => {
  const { inside, across } = contrast(viewOf(sampleReport({ clients: 24, groups: 4 })));
  assert.ok(inside !== null && across !== null && inside > 1 && across < 0);
  assert.deepEqual(contrast(viewOf(sampleReport({ clients: 1, groups: 1 }))), { inside: null, across: null });
});

test("gains count clients and name the client with the largest loss, in either metric", () => {
  for (const noChoices of [false, true]) {
    const report = sampleReport({ clients: 12, groups: 3, noChoices });
    const view = viewOf(report);
    const forth = compare(view, "kindred", "shared");
    const back = compare(view, "shared", "kindred");
    assert.ok(forth?.mean && back?.mean && forth.least);
    assert.equal(forth.mean, -back.mean);
    assert.ok(forth.mean > 0);
    assert.deepEqual([forth.better, forth.worse], [back.worse, back.better]);
    assert.equal(forth.better + forth.equal + forth.worse, 12);
    assert.ok(report.clients.includes(forth.least.client));
    assert.equal(compare(viewOf({ ...report, methods: {} }), "kindred", "shared"), undefined);
  }
});

test("groups' means average to the mean over clients", () => {
  const report = sampleReport({ clients: 24, groups: 4, strays: 2 });
  const view = viewOf(report);
  const sum = report.groups.reduce(
    (total, group, g) => total + group.length * (groupMean(view, "local", g).accuracy ?? 0),
    0,
  );
  assert.ok(Math.abs(sum / 24 - (report.methods.local?.mean.accuracy ?? 0)) < 1e-12);
});

test("ticks are few, even, and cover the range", () => {
  fc.assert(
    fc.property(
      fc.double({ min: -1e4, max: 1e4, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e4, noNaN: true }),
      (lo, span) => {
        const marks = ticks(lo, lo + span, 5);
        assert.ok(marks.length >= 2 && marks.length <= 8, String(marks.length));
        const slack = 1e-6 * (Math.abs(lo) + span);
        assert.ok((marks[0] ?? 0) <= lo + slack && (marks.at(-1) ?? 0) >= lo + span - slack);
      },
    ),
  );
  assert.deepEqual(ticks(0.42, 0.97, 4), [0.4, 0.6, 0.8, 1]);
  assert.deepEqual([ticks(0, 0).length, ticks(7, 7).length], [2, 2], "even where all values are equal");
});

test("a colour scale contains its own colours exactly", () => {
  assert.deepEqual(colourAt(DIVERGING.light, 0), [0xa8, 0x40, 0x0f]);
  assert.deepEqual(colourAt(DIVERGING.light, 0.5), [0xf3, 0xf2, 0xee]);
  assert.deepEqual(colourAt(DIVERGING.dark, 2), [0xa5, 0xcd, 0xff]);
  assert.equal(new Set(paletteOf(DIVERGING.dark, 127).map(String)).size, 127);
});

test("text in a template is escaped, markup is not", () => {
  assert.equal(
    String(html`<b>${"<&>"}${[new Markup("<i>"), "\"'`"]}${false}${null}</b>`),
    "<b>&lt;&amp;&gt;<i>&quot;&#39;&#96;</b>",
  );
  assert.equal(escapeHtml("a\u0000\ud800b\n"), "a\ufffd\ufffdb\n");
});

test("names of an object's built-in properties are names like others", () => {
  const record = byClient([
    ["__proto__", 1],
    ["toString", 2],
  ]);
  assert.equal(at(record, "__proto__"), 1);
  assert.equal(at(record, "toString"), 2);
  assert.equal(at(record, "constructor"), undefined);
  assert.deepEqual(Object.keys(JSON.parse(JSON.stringify(record))), ["__proto__", "toString"]);
});

test("numbers are formatted for people", () => {
  assert.deepEqual(
    [
      format.signed(-0.04, 1),
      format.signed(0.26, 1),
      format.fixed(-1.25, 1),
      format.percent(0.9125),
      format.fixed(Number.NaN, 1),
    ],
    ["0.0", "+0.3", "−1.3", "91.3", "–"],
  );
  assert.deepEqual(
    [format.bytes(0), format.bytes(999), format.bytes(8_400_000), format.flops(1.31e12)],
    ["0 B", "999 B", "8.40 MB", "1.31 TFLOP"],
  );
  assert.deepEqual(
    [0, 9.94, 59.94, 59.96, 119, 3599.7, 7265].map((seconds) => format.duration(seconds)),
    ["0.0 s", "9.9 s", "59.9 s", "1 min 00 s", "1 min 59 s", "1 h 00 min", "2 h 01 min"],
  );
  assert.deepEqual(
    [0.4, 59.4, 59.6, 80, 7500].map((seconds) => format.duration(seconds, 0)),
    ["0 s", "59 s", "1 min 00 s", "1 min 20 s", "2 h 05 min"],
  );
  assert.deepEqual(
    [format.plain(0.003), format.plain(12.5), format.plain(1500), format.plain(1e-9)],
    ["0.003", "12.5", "1\u202f500", "1e−9"],
  );
  assert.deepEqual(format.tickLabels([-0.5, 0, 0.25]), ["−0.50", "0.00", "0.25"]);
});
