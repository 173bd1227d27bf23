import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import * as format from "../../../shared/base/format.js";
import { colourAt, INK, paletteOf } from "../../../simulations/report/colours.js";
import { ticks } from "../../../simulations/report/figures/axis.js";
import { escapeHtml, html, Markup } from "../../../simulations/report/markup.js";
import { CARD, GROUP_PALETTE } from "../../../simulations/report/palette.js";
import { at, byClient } from "../../../simulations/report/types.js";
import {
  clientGains,
  compare,
  contrast,
  groupEstimate,
  groupMean,
  noStructure,
  spreadOf,
  standardise,
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

test("a group's estimate is the mean of its clients' estimates, and nothing where units differ", () => {
  const report = sampleReport({ clients: 6, groups: 2 });
  const [first = [], second = []] = report.groups;
  const accuracy = (estimated: number) => ({
    loss: { estimated: 9, measured: 9 },
    accuracy: { estimated, measured: 1 },
  });
  const known = [...first.map((name, k) => [name, accuracy(k / 10)] as const), [second[0]!, accuracy(1)] as const];
  const forecasts = { ...report.forecasts!, clients: Object.fromEntries(known) };
  assert.ok(Math.abs(groupEstimate(viewOf({ ...report, forecasts }), 0)! - 0.1) < 1e-12);
  assert.equal(groupEstimate(viewOf({ ...report, forecasts }), 1), undefined, "two clients without an estimate");
  assert.equal(
    groupEstimate({ ...viewOf(report), metric: "loss" }, 0),
    undefined,
    "per answer, and measured per token",
  );
  const texts = viewOf(sampleReport({ clients: 6, groups: 2, noChoices: true }));
  const losses = texts.report.groups[0]!.map((name) => texts.report.forecasts!.clients[name]!.loss.estimated);
  assert.ok(Math.abs(groupEstimate(texts, 0)! - losses.reduce((sum, x) => sum + x, 0) / losses.length) < 1e-12);
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
  assert.deepEqual(colourAt(INK.light, 0), [0xf7, 0xf6, 0xf2]);
  assert.deepEqual(colourAt(INK.light, 0.5), [0x8b, 0x89, 0x82]);
  assert.deepEqual(colourAt(INK.dark, 2), [0xf6, 0xf4, 0xea]);
  assert.equal(new Set(paletteOf(INK.dark, 127).map(String)).size, 127);
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

test("a client's best baseline is the best by its own test rows, and the largest gain comes first", () => {
  const report = sampleReport({ clients: 12, groups: 3 });
  const gains = clientGains(viewOf(report));
  assert.deepEqual(gains.map(({ client }) => client).sort(), [...report.clients].sort());
  gains.forEach(({ client, baseline, gain }, k) => {
    const of = (method: "base" | "shared" | "local" | "full") => at(report.methods[method]!.clients, client)!.accuracy!;
    assert.equal(of(baseline as "base"), Math.max(of("base"), of("shared"), of("local"), of("full")));
    assert.ok(
      Math.abs(gain.value - (at(report.methods.kindred!.clients, client)!.accuracy! - of(baseline as "base"))) < 1e-12,
    );
    assert.deepEqual(gain, at(report.gains![baseline]!.clients, client)!.accuracy);
    assert.ok(k === 0 || gains[k - 1]!.gain.value >= gain.value);
  });
});

test("structure is shown where the estimate tells the groups from one, and only there", () => {
  const why = (options: Partial<Parameters<typeof sampleReport>[0]>, standardError?: number) => {
    const report = sampleReport({ clients: 12, groups: 3, testRows: 2, ...options });
    const estimation = { ...report.estimation, ...(standardError === undefined ? {} : { standardError }) };
    return noStructure(viewOf({ ...report, estimation }));
  };
  assert.equal(why({}), undefined);
  assert.match(why({ groups: 1 }) ?? "", /no division into groups gains more/);
  assert.match(why({ clients: 2, groups: 2 }) ?? "", /two clients/);
  assert.match(why({ noise: true }) ?? "", /does not tell them from one group/);
  assert.match(why({}, 0.2) ?? "", /the choice of subsets alone gives 0\.20/);
});

// Machado, Oliveira and Fernandes 2009, severity 1, on linear RGB.
const PROTANOPIA = [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998];
const DEUTERANOPIA = [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.01182, 0.04294, 0.968881];

test("groups' colours differ for all eyes, and stand out from the page", () => {
  const linear = (hex: string): number[] =>
    [1, 3, 5].map((from) => {
      const x = Number.parseInt(hex.slice(from, from + 2), 16) / 255;
      return x <= 0.04045 ? x / 12.92 : ((x + 0.055) / 1.055) ** 2.4;
    });
  const seen = (matrix: readonly number[], rgb: readonly number[]): number[] =>
    [0, 1, 2].map((r) =>
      Math.max(
        0,
        rgb.reduce((sum, x, c) => sum + matrix[3 * r + c]! * x, 0),
      ),
    );
  const lab = ([r = 0, g = 0, b = 0]: readonly number[]): number[] => {
    const [l, m, s] = [
      Math.cbrt(0.4122214708 * r + 0.5363325363 * g + 0.0514459929 * b),
      Math.cbrt(0.2119034982 * r + 0.6806995451 * g + 0.1073969566 * b),
      Math.cbrt(0.0883024619 * r + 0.2817188376 * g + 0.6299787005 * b),
    ];
    return [
      0.2104542553 * l + 0.793617785 * m - 0.0040720468 * s,
      1.9779984951 * l - 2.428592205 * m + 0.4505937099 * s,
      0.0259040371 * l + 0.7827717662 * m - 0.808675766 * s,
    ];
  };
  const luminance = ([r = 0, g = 0, b = 0]: readonly number[]) => 0.2126 * r + 0.7152 * g + 0.0722 * b;
  for (const theme of ["light", "dark"] as const) {
    const colours = GROUP_PALETTE[theme].map(linear);
    const page = luminance(linear(CARD[theme]));
    for (const [k, colour] of colours.entries()) {
      const [low, high] = [page, luminance(colour)].sort((a, b) => a - b);
      assert.ok((high! + 0.05) / (low! + 0.05) >= 3, `${theme} ${k}: contrast`);
      for (const [j, other] of colours.slice(0, k).entries())
        for (const eyes of [undefined, PROTANOPIA, DEUTERANOPIA]) {
          const [a, b] = [colour, other].map((rgb) => lab(eyes === undefined ? rgb : seen(eyes, rgb)));
          assert.ok(Math.hypot(...a!.map((x, c) => x - b![c]!)) > 0.1, `${theme} ${k} and ${j}`);
        }
    }
  }
});
