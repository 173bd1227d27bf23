import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { inflateSync } from "node:zlib";
import { renderReport } from "../../../simulations/report/html.js";
import { at, byClient, METHODS, type Report } from "../../../simulations/report/types.js";
import { standardise } from "../../../simulations/report/views.js";
import { sampleReport } from "./sample.js";

const HOSTILE = [
  "<script>alert(1)</script>",
  '"><img src=x onerror=alert(1)>',
  "__proto__",
  "constructor",
  "</script><script>alert(2)</script>",
  "' onmouseover='alert(3)",
  "`alert(4)`",
  "right\u202eleft\u0000\u001b[2J",
];

/** Pixels of a palette PNG as this project writes them. */
function decode(uri: string): { width: number; height: number; pixels: Uint8Array } {
  const png = Buffer.from(uri.slice("data:image/png;base64,".length), "base64");
  const width = png.readUInt32BE(16);
  const height = png.readUInt32BE(20);
  const data: Buffer[] = [];
  for (let at = 8; at < png.length; at += png.readUInt32BE(at) + 12)
    if (png.toString("latin1", at + 4, at + 8) === "IDAT")
      data.push(png.subarray(at + 8, at + 8 + png.readUInt32BE(at)));
  const rows = inflateSync(Buffer.concat(data));
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) pixels.set(rows.subarray(y * (width + 1) + 1, (y + 1) * (width + 1)), y * width);
  return { width, height, pixels };
}

function imageOf(page: string, name: string): ReturnType<typeof decode> {
  const uri = new RegExp(`<image class="${name} light" href="([^"]+)"`).exec(page)?.[1];
  assert.ok(uri, `no image ${name}`);
  return decode(uri);
}

function dataOf(page: string): Record<string, { rows: string[]; columns: string[] }> {
  const text = /<script type="application\/json" id="data">(.*?)<\/script>/s.exec(page)?.[1];
  assert.ok(text);
  assert.doesNotMatch(text, /[<>&]/);
  return JSON.parse(text);
}

/** What the page shows and its elements, without its style, script, data and images. */
function bodyOf(page: string): string {
  return page.replace(/<(style|script)[^>]*>.*?<\/\1>/gs, "").replace(/base64,[^"]*/g, "");
}

/** As doesNotMatch, with a failure that does not print the page. */
function lacks(text: string, pattern: RegExp, what = `${pattern}`): void {
  assert.equal(pattern.exec(text)?.[0], undefined, what);
}

test("hostile names, messages and titles are shown as text", () => {
  const base = sampleReport({ clients: 8, groups: 2, names: (i) => HOSTILE[i] ?? "", title: "<b>run</b> & more" });
  const report: Report = {
    ...base,
    faults: [{ client: HOSTILE[0] ?? "", stage: "<i>", message: "<iframe src='//evil'></iframe>" }],
    config: { "<u>": "</pre><script>alert(5)</script>" },
    command: "kindred simulate '<svg onload=alert(6)>'",
    model: { ...base.model, name: "<object>" },
    grouping: { ...base.grouping, reason: "<marquee>" },
  };
  const page = renderReport(report);
  assert.equal(page.match(/<script/g)?.length, 2, "the data and the page's own script");
  lacks(page, /<(img|iframe|object|marquee|i|u|svg onload)[ >]/);
  const tags =
    bodyOf(page)
      .match(/<[a-z][^>]*>/g)
      ?.map((tag) => tag.replace(/"[^"]*"/g, '""')) ?? [];
  assert.ok(tags.length > 100);
  for (const tag of tags) lacks(tag, /\son\w+=|'/, "no event handler and no quote that ends an attribute");
  assert.match(page, /<title>&lt;b&gt;run&lt;\/b&gt; &amp; more<\/title>/);
  lacks(page.replaceAll("\n", ""), /\p{Cc}/u);
  assert.deepEqual(new Set(dataOf(page).affinity?.rows), new Set(HOSTILE));
  // `__proto__` has its own results, like anybody.
  const loss = at(base.methods.kindred?.clients, "__proto__")?.loss;
  assert.ok(loss !== undefined && page.includes(`data-sort="${loss}"`));
});

test("the page makes no request, and its policy allows only its own script and style", () => {
  const page = renderReport(sampleReport({ clients: 24, groups: 4 }));
  lacks(page, /https?:|\/\/[a-z]+\.|@import|url\(|<link|\ssrc=/);
  for (const [, target] of page.matchAll(/href="([^"]*)"/g)) assert.match(target ?? "", /^(#|data:image\/png;base64,)/);
  lacks(page, /\sstyle="/, "style attributes are not admitted by the policy");
  const policy = /Content-Security-Policy" content="([^"]+)"/.exec(page)?.[1] ?? "";
  assert.match(policy, /^default-src 'none'/);
  for (const [kind, pattern] of [
    ["script-src", /<script>(.*?)<\/script>/s],
    ["style-src", /<style>(.*?)<\/style>/s],
  ] as const) {
    const hash = createHash("sha256")
      .update(pattern.exec(page)?.[1] ?? "")
      .digest("base64");
    assert.ok(policy.includes(`${kind} 'sha256-${hash}'`), kind);
  }
});

test("the page's script is JavaScript", () => {
  const page = renderReport(sampleReport({ clients: 4, groups: 2 }));
  new Function(/<script>(.*?)<\/script>/s.exec(page)?.[1] ?? "syntax error");
});

for (const [clients, groups] of [
  [8, 2],
  [24, 4],
  [200, 9],
] as const) {
  test(`the heatmap of ${clients} clients has a cell for every pair, group after group`, () => {
    const report = sampleReport({ clients, groups, strays: 3, testRows: 4 });
    const page = renderReport(report);
    const names = report.groups.flat();
    assert.deepEqual(dataOf(page).affinity?.rows, names);
    const image = imageOf(page, "standard");
    assert.deepEqual([image.width, image.height], [clients, clients]);
    const z = standardise(report.affinity);
    const place = names.map((name) => report.clients.indexOf(name));
    image.pixels.forEach((level, k) => {
      const value = z[(place[Math.floor(k / clients)] ?? 0) * clients + (place[k % clients] ?? 0)] ?? 0;
      assert.equal(level, Math.round(Math.min(1, Math.max(0, 0.5 + value / 5)) * 126));
    });
  });

  test(`the outlines of ${clients} clients' groups follow their sizes`, () => {
    const report = sampleReport({ clients, groups, strays: 3, testRows: 4 });
    const page = renderReport(report);
    const share = "([\\d.]+)%";
    const blocks = [
      ...page.matchAll(
        new RegExp(`<rect class="block" x="${share}" y="${share}" width="${share}" height="${share}"`, "g"),
      ),
    ].map((block) => block.slice(1).map((text) => (Number(text) * clients) / 100));
    // The matrix is there twice: by row and as estimated.
    assert.equal(blocks.length, 2 * report.groups.length);
    let before = 0;
    report.groups.forEach(({ length }, g) => {
      for (const block of [blocks[g]!, blocks[report.groups.length + g]!])
        [before, before, length, length].forEach((cells, k) => {
          // Two decimals of a percent are kept.
          assert.ok(Math.abs(block[k]! - cells) <= 0.00501 * (clients / 100) + 1e-9, `${block[k]} is ${cells} cells`);
        });
      before += length;
    });
    assert.equal(before, clients);
  });

  test(`the table of ${clients} clients has each of them once, with every method's accuracy`, () => {
    const report = sampleReport({ clients, groups, testRows: 4 });
    const page = renderReport(report);
    const body = /<table class="clients">.*?<tbody>(.*?)<\/tbody>/s.exec(page)?.[1] ?? "";
    const rows = body.split("<tr>").slice(1);
    assert.equal(rows.length, clients);
    const named = rows.map((row) => /<td class="name"[^>]*>([^<]+)</.exec(row)?.[1] ?? "");
    assert.deepEqual(named, report.groups.flat());
    rows.forEach((row, k) => {
      for (const method of METHODS)
        assert.ok(row.includes(`data-sort="${report.methods[method]?.clients[named[k] ?? ""]?.accuracy}"`), named[k]);
    });
  });
}

test("the groups found stand against the planted ones, with the adjusted Rand index", () => {
  const page = renderReport(sampleReport({ clients: 24, groups: 4, strays: 2 }));
  const table = /<table class="counts planted">(.*?)<\/table>/s.exec(page)?.[1] ?? "";
  const counts = table
    .split("<tr>")
    .slice(2)
    .map((row) =>
      [...row.matchAll(/<td class="(?:soft|heat\d)">([^<]+)</g)].map((m) => (m[1] === "·" ? 0 : Number(m[1]))),
    );
  assert.deepEqual(counts, [
    [5, 1, 0, 0],
    [0, 5, 1, 0],
    [0, 0, 6, 0],
    [0, 0, 0, 6],
  ]);
  assert.match(page, /Adjusted Rand index <b>0\.817<\/b>/);
  const without = renderReport(sampleReport({ clients: 24, groups: 4, planted: false }));
  lacks(without, /djusted Rand index|<table class="counts planted"/);
});

test("losses take the place of accuracies where no row has choices", () => {
  const report = sampleReport({ clients: 8, groups: 2, noChoices: true });
  const page = renderReport(report);
  const mean = report.methods.kindred?.mean.loss ?? 0;
  assert.match(page, new RegExp(`mean test loss of <b>${mean.toFixed(3)}</b>`));
  lacks(bodyOf(page), /NaN|null|undefined|accuracy in %/);
});

test("losses of Kindred are stated as plainly as gains", () => {
  const report = sampleReport({ clients: 8, groups: 2 });
  const { kindred, shared } = report.methods;
  assert.ok(kindred && shared);
  const methods = { ...report.methods, kindred: shared, shared: kindred };
  const page = bodyOf(renderReport({ ...report, methods, gains: undefined }));
  assert.match(page.slice(0, 4000), /points worse than one shared adapter/);
  assert.match(page.slice(0, 4000), /Against its own best baseline, 0 of 8 clients do better, 8 worse \(by at most/);
});

test("gains in the headline have their paired intervals, the sign of a loss is in its words", () => {
  const report = sampleReport({ clients: 8, groups: 2 });
  const gain = (value: number, interval: readonly [number, number]) => ({
    ...report.gains!.shared!,
    mean: mean(value, interval),
  });
  const mean = (value: number, interval: readonly [number, number]) => ({
    loss: { value: 0 },
    accuracy: { value, interval },
  });
  const headline = (shared: ReturnType<typeof gain>) =>
    bodyOf(renderReport({ ...report, gains: { ...report.gains, shared } })).slice(0, 4000);
  assert.match(headline(gain(0.125, [0.05, 0.2])), /: 12\.5 points \(5\.0 to 20\.0\) better than one shared adapter/);
  assert.match(headline(gain(-0.125, [-0.2, 0.05])), /: 12\.5 points \(−5\.0 to 20\.0\) worse than one shared adapter/);
});

test("clients with equal scores count neither as better nor as worse", () => {
  const report = sampleReport({ clients: 8, groups: 1 });
  const { shared } = report.methods;
  assert.ok(shared);
  const same = bodyOf(renderReport({ ...report, methods: { kindred: shared, shared }, gains: undefined }));
  assert.match(
    same.slice(0, 4000),
    /equal to one shared adapter.*Every client does as well as under its best baseline/,
  );
});

test("one client, one method, a constant affinity and no optional field still make a page", () => {
  const report = sampleReport({ clients: 1, groups: 1, planted: false });
  const { kindred } = report.methods;
  assert.ok(kindred);
  const page = renderReport({
    ...report,
    affinity: [[0]],
    methods: { kindred },
    cost: {},
    curves: [],
    members: [],
    weights: byClient([]),
    grouping: { candidates: [], reason: "" },
    sweep: [],
    rows: undefined,
    tokens: undefined,
    gains: undefined,
    forecasts: undefined,
    boosting: undefined,
    answers: undefined,
    examples: undefined,
    wallSeconds: undefined,
    command: undefined,
  });
  assert.match(page, /one group/);
  lacks(bodyOf(page), /NaN|undefined|Infinity/);
});

test("no page contains NaN or Infinity", () => {
  for (const clients of [2, 8, 41, 120])
    lacks(
      bodyOf(renderReport(sampleReport({ clients, groups: 2, noChoices: clients === 41 }))),
      /NaN|Infinity|undefined/,
    );
});

test("the same report gives the same page", () => {
  assert.equal(
    renderReport(sampleReport({ clients: 24, groups: 4, seed: 7 })),
    renderReport(sampleReport({ clients: 24, groups: 4, seed: 7 })),
  );
  assert.notEqual(
    renderReport(sampleReport({ clients: 24, groups: 4, seed: 7 })),
    renderReport(sampleReport({ clients: 24, groups: 4, seed: 8 })),
  );
});

test("the page of 300 clients stays under 3 MB", () => {
  assert.ok(renderReport(sampleReport({ clients: 300, groups: 12, testRows: 4 })).length < 3_000_000);
});
