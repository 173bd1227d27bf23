/** Margins against negatives and other clients' answers, against definitions from downloaded logits; relations of the sketches. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { type Comparison, marginFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { perExampleGraph } from "../../../client/tuning/graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { answerPrefixesOf, comparisonsOf } from "../../../client/tuning/negatives.js";
import { type SketchingPlan, sketchRows } from "../../../client/tuning/sketching.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { type LogisticRows, ROW_TERMS } from "../../../shared/sketch/types.js";
import { choicesOf } from "../../support/choices.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime();
let compiledGraphs: CompiledGraphs;
let layout: AdapterLayout;
let start: AdapterValues;
before(async () => {
  compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(asset("test", "fixtures", "llama", "tied")));
  layout = loraLayout(compiledGraphs.model.architecture, { rank: 4, alpha: 8, modules: [], dropout: 0, freezeA: true });
  const rng = new SeededRng(1, "start");
  start = emptyAdapter(layout);
  for (const part of [start.frozen, start.trained]) for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
});
after(() => runtime.close());

const DIM = 24;
/** A row of a number of choices, the right one in the middle. */
const row = (seed: number, choices: number): EncodedRow => {
  const rng = new SeededRng(seed, "row");
  const prompt = Array.from({ length: 4 + rng.int(6) }, () => 5 + rng.int(100));
  const tokens = Array.from({ length: choices }, (_, k) => Int32Array.of(7 + 11 * k + rng.int(11)));
  const answer = choices >> 1;
  return {
    tokens: Int32Array.from([...prompt, ...tokens[answer]!]),
    scored: Int32Array.of(prompt.length),
    choices: choicesOf(prompt.length, tokens, answer),
  };
};
const ROWS = [row(1, 2), row(2, 6), row(3, 4), row(4, 6), row(5, 3)];

/** A row of these choices. */
function rowOf(choices: readonly (readonly number[])[], answer: number): EncodedRow {
  const rng = new SeededRng(answer, "prompt");
  const prompt = Array.from({ length: 4 + rng.int(6) }, () => 5 + rng.int(100));
  const scored = Int32Array.from(choices[answer]!, (_, k) => prompt.length + k);
  const tokens = choices.map((choice) => Int32Array.from(choice));
  return {
    tokens: Int32Array.from([...prompt, ...tokens[answer]!]),
    scored,
    choices: choicesOf(prompt.length, tokens, answer),
  };
}
/** All begin with one token; some diverge at the second, some at the third; one is a prefix of another. */
const LABELS = [
  [9, 20],
  [9, 30, 41],
  [9, 30, 42, 50],
  [9, 60, 61, 62],
  [9, 60, 61],
  [9, 70, 71],
];
const TREE = LABELS.map((_, answer) => rowOf(LABELS, answer));
/** Prefixes of other clients' answers: the first token, after the shared token, after two, after a prefix that no row has. */
const OTHERS = [
  [[9], [8], [8, 1]],
  [
    [9, 20],
    [9, 21],
    [9, 30, 43],
  ],
  [
    [9, 22],
    [9, 60, 60],
    [7, 30],
  ],
];

const sketchedOf = (
  rows: readonly EncodedRow[],
  negatives: number,
  otherClientAnswers: readonly (readonly number[][])[] = [],
  more: Partial<SketchingPlan> = {},
): Promise<LogisticRows> =>
  sketchRows(
    compiledGraphs,
    { layout, values: start },
    rows,
    { dim: DIM, seed: 5, negatives, otherClientAnswers, ...more },
    { meter: new Meter() },
  );
const sketched = (
  negatives: number,
  otherClientAnswers: number[][] = [],
  more: Partial<SketchingPlan> = {},
): Promise<LogisticRows> =>
  sketchedOf(
    ROWS,
    negatives,
    otherClientAnswers.map((set) => set.map((token) => [token])),
    more,
  );

/** Logits before each token of the row's answer. */
async function placeLogits({ tokens, scored }: EncodedRow): Promise<number[][]> {
  const all = await allLogits(compiledGraphs, layout, start, { shape: [1, tokens.length], data: tokens }, new Meter());
  const vocabulary = all.length / tokens.length;
  return Array.from(scored, (at) => Array.from(all.subarray((at - 1) * vocabulary, at * vocabulary)));
}

const answerLogits = async (encoded: EncodedRow): Promise<number[]> => (await placeLogits(encoded))[0]!;

const firsts = ({ choices }: EncodedRow): number[] => choices!.tokens.map(([first]) => first!);

async function choiceLogits(encoded: EncodedRow): Promise<number[]> {
  const logits = await answerLogits(encoded);
  return firsts(encoded).map((token) => logits[token]!);
}

const logSumExp = (values: readonly number[]): number => Math.log(values.reduce((sum, x) => sum + Math.exp(x), 0));

test("each of the strongest negatives has its own margin, and the others share one margin", async () => {
  for (const most of [1, 3, 8]) {
    const { example, term, margin } = await sketched(most);
    for (const [e, encoded] of ROWS.entries()) {
      const logits = await choiceLogits(encoded);
      const { answer } = encoded.choices!;
      const negatives = logits.filter((_, k) => k !== answer);
      if (negatives.length > most) negatives.sort((a, b) => b - a);
      const apart = negatives.length > most ? most - 1 : negatives.length;
      const wanted = negatives.slice(0, apart).map((z) => logits[answer]! - z);
      if (apart < negatives.length) wanted.push(logits[answer]! - logSumExp(negatives.slice(apart)));
      const got = margin.filter((_, r) => example[r] === e && term[r] === ROW_TERMS.choice);
      assert.equal(got.length, wanted.length);
      wanted.forEach((h, r) => {
        assert.ok(Math.abs(got[r]! - h) < 1e-4, `at most ${most}, row ${e}, negative ${r}: ${got[r]}, not ${h}`);
      });
    }
  }
});

test("labels name the choice that a margin is against, one number per sequence of tokens; a margin against several choices has no label", async () => {
  const { example, term, margin, labels } = await sketched(3, [], { labels: true });
  assert.equal((await sketched(3)).labels, undefined);
  // Numbered as they first appear, over all rows.
  const seen: number[] = [];
  for (const encoded of ROWS) for (const token of firsts(encoded)) if (!seen.includes(token)) seen.push(token);
  assert.ok(seen.length < ROWS.flatMap(firsts).length, "no choice is there twice");
  let named = 0;
  for (const [e, encoded] of ROWS.entries()) {
    const logits = await answerLogits(encoded);
    const { answer } = encoded.choices!;
    const own = firsts(encoded)[answer]!;
    assert.equal(seen[labels!.answer[e]!], own);
    for (const [r, h] of margin.entries()) {
      const negative = labels!.negative[r]!;
      if (example[r] !== e || negative < 0) continue;
      named++;
      assert.equal(term[r], ROW_TERMS.choice);
      assert.ok(Math.abs(h - (logits[own]! - logits[seen[negative]!]!)) < 1e-4);
    }
  }
  // One of two, two of three, three of four, and two of six that keep four together.
  assert.equal(named, 1 + 2 + 3 + 2 + 2);
});

test("a margin is labelled where one choice alone has its next token, and has no label where several choices have it", async () => {
  const { labels, example, term } = await sketchedOf(TREE, 8, [], { labels: true });
  const named = TREE.map((_, e) =>
    Array.from(labels!.negative).filter((_, r) => example[r] === e && term[r] === ROW_TERMS.choice),
  );
  assert.deepEqual([...labels!.answer], [0, 1, 2, 3, 4, 5]);
  // The label that ends first, those behind 30 and behind 60 (two each, at the place where all part), then at a place of their own.
  assert.deepEqual(named, [
    [-1, -1, 5],
    [0, -1, 5, 2],
    [0, -1, 5, 1],
    [0, -1, 5],
    [0, -1, 5],
    [0, -1, -1],
  ]);
});

test("several projections are concatenated, and the first is the same as alone", async () => {
  const [one, three] = [await sketched(1), await sketched(1, [], { projections: 3 })];
  assert.deepEqual([three.dim, three.margin], [3 * DIM, one.margin]);
  const block = (r: number, p: number) => three.sketch.subarray((3 * r + p) * DIM, (3 * r + p + 1) * DIM);
  one.margin.forEach((_, r) => {
    const own = one.sketch.subarray(r * DIM, (r + 1) * DIM);
    const size = Math.hypot(...own);
    own.forEach((x, d) => {
      assert.ok(Math.abs(x - block(r, 0)[d]!) < 1e-5 * size);
    });
    for (const p of [1, 2]) {
      const cosine = own.reduce((sum, x, d) => sum + x * block(r, p)[d]!, 0) / size / Math.hypot(...block(r, p));
      assert.ok(Math.abs(cosine) < 0.9, `projection ${p} of row ${r} is the first again`);
      assert.ok(Math.abs(Math.hypot(...block(r, p)) / size - 1) < 0.7);
    }
  });
});

test("the sketch against all negatives together is the mean of their sketches, weighted as the softmax of their logits", async () => {
  const [together, apart] = [await sketched(1), await sketched(8)];
  const choices = ({ example, term }: LogisticRows, e: number): number[] =>
    [...example.keys()].filter((r) => example[r] === e && term[r] === ROW_TERMS.choice);
  for (const e of ROWS.keys()) {
    const negatives = choices(apart, e);
    const total = logSumExp(negatives.map((r) => -apart.margin[r]!));
    const mean = new Float64Array(DIM);
    for (const r of negatives)
      for (let d = 0; d < DIM; d++) mean[d]! += Math.exp(-apart.margin[r]! - total) * apart.sketch[r * DIM + d]!;
    const at = choices(together, e)[0]! * DIM;
    const size = Math.hypot(...mean);
    assert.ok(size > 0);
    mean.forEach((x, d) => {
      assert.ok(Math.abs(x - together.sketch[at + d]!) < 1e-4 * size, `row ${e}, entry ${d}`);
    });
  }
});

test("the choices have a margin against each set of other clients' answers, and all terms together are the answer's likelihood", async () => {
  // The first set is partly the rows' own choices, the second is all the first row's own and left out there, the last has no tokens.
  const otherClientAnswers = [[...firsts(ROWS[2]!), 101, 102], firsts(ROWS[0]!), [103, 1e6], [1e9]];
  const { example, term, margin } = await sketched(3, otherClientAnswers);
  for (const [e, encoded] of ROWS.entries()) {
    const logits = await answerLogits(encoded);
    const own = firsts(encoded);
    const sets = otherClientAnswers
      .map((set) => set.filter((t) => t < logits.length && !own.includes(t)))
      .filter((set) => set.length > 0);
    const known = new Set([...own, ...sets.flat()]);
    const rest = [...logits.keys()].filter((t) => !known.has(t));
    const total = (tokens: readonly number[]): number => logSumExp(tokens.map((t) => logits[t]!));
    const got = (which: number): number[] => [...margin].filter((_, r) => example[r] === e && term[r] === which);
    const format = got(ROW_TERMS.format);
    assert.equal(format.length, 1 + sets.length);
    [rest, ...sets].forEach((set, r) => {
      const wanted = total(own) - total(set);
      assert.ok(Math.abs(format[r]! - wanted) < 1e-4, `row ${e}, set ${r}: ${format[r]}, not ${wanted}`);
    });
    const losses = [format, got(ROW_TERMS.choice)].map((rows) => logSumExp([0, ...rows.map((h) => -h)]));
    const negativeLogLikelihood = logSumExp(logits) - logits[own[encoded.choices!.answer]!]!;
    assert.ok(Math.abs(losses[0]! + losses[1]! - negativeLogLikelihood) < 1e-4);
  }
});

const beginsWith = (choice: readonly number[], beginning: readonly number[]): boolean =>
  beginning.every((token, k) => choice[k] === token);

/** By definition: probabilities at each token of the answer, of the own choices, of the right one, of each set, and of the rest. */
async function chances(encoded: EncodedRow, otherClientAnswers: readonly (readonly number[][])[]) {
  const labels = encoded.choices!.tokens.map((tokens) => [...tokens]);
  const answer = labels[encoded.choices!.answer]!;
  return (await placeLogits(encoded)).map((logits, k) => {
    const total = logSumExp(logits);
    const chance = logits.map((z) => Math.exp(z - total));
    const goesOn = (list: readonly (readonly number[])[]): number[] =>
      [...chance.keys()].filter((token) => list.some((one) => beginsWith(one, [...answer.slice(0, k), token])));
    const own = goesOn(labels);
    const sum = (tokens: readonly number[]): number => tokens.reduce((s, token) => s + chance[token]!, 0);
    const sets = otherClientAnswers.map((set) =>
      goesOn(set.filter(({ length }) => length === k + 1)).filter((token) => !own.includes(token)),
    );
    const known = new Set([...own, ...sets.flat()]);
    return {
      own: sum(own),
      right: chance[answer[k]!]!,
      negatives: own.filter((token) => token !== answer[k]).map((token) => chance[token]!),
      sets: sets.map(sum),
      rest: sum([...chance.keys()].filter((token) => !known.has(token))),
    };
  });
}

test("choices with a common prefix are compared where they diverge, each with the next tokens after the same prefix", async () => {
  const near = (got: number | undefined, wanted: number, what: string): void =>
    assert.ok(Math.abs(got! - wanted) < 2e-4 * Math.max(1, Math.abs(wanted)), `${what}: ${got}, not ${wanted}`);
  const { example, term, margin } = await sketchedOf(TREE, 16, OTHERS);
  const one = await sketchedOf(TREE, 1, OTHERS);
  for (const [e, encoded] of TREE.entries()) {
    const places = await chances(encoded, OTHERS);
    const of = (rows: LogisticRows | { example: Int32Array; term: Uint8Array; margin: Float32Array }, which: number) =>
      [...rows.margin].filter((_, r) => rows.example[r] === e && rows.term[r] === which);
    const [rest, ...sets] = of({ example, term, margin }, ROW_TERMS.format);
    const all = places.reduce((product, { own, rest }) => product * (own / (own + rest)), 1);
    near(rest, Math.log(all / (1 - all)), `row ${e}, the rest`);
    const odds = OTHERS.map((_, f) => places.reduce((sum, place) => sum + place.sets[f]! / place.own, 0));
    const met = odds.filter((odd) => odd > 0);
    assert.equal(sets.length, met.length);
    met.forEach((odd, r) => {
      near(sets[r], -Math.log(odd), `row ${e}, set ${r}`);
    });
    const negatives = places.flatMap((place) => place.negatives.map((negative) => place.right / negative));
    const got = of({ example, term, margin }, ROW_TERMS.choice);
    assert.equal(got.length, negatives.length);
    negatives.forEach((odd, r) => {
      near(got[r], Math.log(odd), `row ${e}, negative ${r}`);
    });
    const together = of(one, ROW_TERMS.choice);
    assert.equal(together.length, negatives.length > 0 ? 1 : 0);
    if (negatives.length > 0)
      near(together[0], -Math.log(negatives.reduce((sum, odd) => sum + 1 / odd, 0)), `row ${e}, all negatives`);
  }
});

test("without other clients' answers, the terms of a choice that diverges once are the likelihood of all its tokens", async () => {
  for (const e of [0, 3, 5]) {
    const { term, margin } = await sketchedOf([TREE[e]!], 2);
    const places = await chances(TREE[e]!, []);
    const wanted = places.reduce((sum, { right }) => sum - Math.log(right), 0);
    const losses = [ROW_TERMS.format, ROW_TERMS.choice].map((which) =>
      logSumExp([0, ...[...margin].filter((_, r) => term[r] === which).map((h) => -h)]),
    );
    const loss = losses[0]! + losses[1]!;
    assert.ok(Math.abs(loss - wanted) < 1e-4 * wanted, `row ${e}: ${loss}, not ${wanted}`);
  }
});

test("the gradients of margins over several tokens are those of finite differences", async () => {
  const rows = TREE.slice(1, 3);
  const plan = { negatives: 2, otherClientAnswers: OTHERS, seed: 1 };
  const adapter = (values: AdapterValues) => ({
    trained: { shape: [layout.trainedSize], data: values.trained },
    frozen: { shape: [layout.frozenSize], data: values.frozen },
  });
  const comparisons = await comparisonsOf(compiledGraphs, { layout, feeds: adapter(start) }, rows, plan, new Meter());
  const compared = comparisons[0]!;
  assert.deepEqual([compared.otherClientAnswers, compared.negatives], [3, 2]);
  const program = await compiledGraphs.get("tree", layout, () =>
    perExampleGraph(compiledGraphs.model, layout, { compared }),
  );
  const feeds = marginFeeds(
    rows,
    compiledGraphs.model.architecture,
    comparisons.map((one) => one!),
  );
  const rng = new SeededRng(2, "direction");
  const along = Float32Array.from({ length: layout.trainedSize }, () => rng.normal());
  const run = async (step: number) => {
    const trained = start.trained.map((x, i) => x + step * along[i]!);
    return (await new Meter().run(program, { ...feeds, ...adapter({ ...start, trained }) })).tensors;
  };
  const step = 2e-3;
  const [here, less, more] = [await run(0), await run(-step), await run(step)];
  for (const prefix of ["", "format0", "format1", "format2", "choice0", "choice1"]) {
    const named = (name: string): string => (prefix === "" ? name.toLowerCase() : prefix + name);
    rows.forEach((_, i) => {
      const slope = (more[named("Margin")]!.data[i]! - less[named("Margin")]!.data[i]!) / (2 * step);
      let product = 0;
      for (const { name, offset, shape, part } of layout.tensors) {
        if (part !== "trained") continue;
        const size = shape.reduce((n, dim) => n * dim, 1);
        const gradient = here[`${named("Grad")}:${name}`]!.data;
        for (let j = 0; j < size; j++) product += gradient[i * size + j]! * along[offset + j]!;
      }
      assert.ok(
        Math.abs(slope - product) < 5e-3 * Math.max(1, Math.abs(product)),
        `${prefix} ${i}: ${slope}, ${product}`,
      );
    });
  }
});

test("drawn sets of other clients' answers represent all sets: in the mean their odds are those of all, by seed and row", async () => {
  const rows = [TREE[1]!, TREE[1]!];
  const sets = [...OTHERS, [[9, 30, 5]], [[100]], [[9, 30, 41, 7]]];
  const draw = (seed: number, of = rows) => {
    const plan = { negatives: 16, otherClientAnswers: sets, otherClientAnswersLimit: 2, seed };
    return comparisonsOf(compiledGraphs, { layout, feeds: {} }, of, plan, new Meter());
  };
  const places = await chances(rows[0]!, sets);
  const odds = sets.map((_, f) => places.reduce((sum, place) => sum + place.sets[f]! / place.own, 0));
  // The last set goes on from a whole answer and meets no token of it.
  assert.deepEqual(
    odds.map((odd) => odd > 0),
    [true, true, true, true, true, false],
  );
  const ofSet = new Map(sets.flatMap((set, f) => set.map((beginning) => [beginning.join(), f] as const)));
  const setsOf = (comparison: Comparison | undefined): number[] => {
    const { compared, otherClientAnswers, setsPerDraw } = comparison!;
    assert.deepEqual([otherClientAnswers, setsPerDraw], [2, 5 / 2]);
    return [0, 1].map((r) => {
      const found = compared.flatMap(({ tokens, otherClientAnswers }, k) =>
        otherClientAnswers[r]!.map((at) => ofSet.get([...[9, 30, 41].slice(0, k), tokens[at]!].join())!),
      );
      assert.equal(new Set(found).size, 1);
      return found[0]!;
    });
  };
  const seen = new Float64Array(sets.length);
  const seeds = 300;
  let differ = 0;
  for (let seed = 0; seed < seeds; seed++) {
    const [one, other] = (await draw(seed)).map(setsOf);
    for (const f of [...one!, ...other!]) seen[f]!++;
    if (one!.join() !== other!.join()) differ++;
  }
  const mean = odds.reduce((sum, odd, f) => sum + (odd * seen[f]! * (5 / 2)) / (2 * seeds), 0);
  const total = odds.reduce((sum, odd) => sum + odd, 0);
  // A set is in 240 of 600 draws, with a deviation of at most 12 were they independent: four of them are 20 %.
  assert.ok(Math.abs(mean - total) < 0.2 * total, `${mean}, not ${total}`);
  for (let f = 0; f < 5; f++) assert.ok(Math.abs(seen[f]! - 240) < 48, `${seen}`);
  assert.equal(differ, seeds);
  assert.deepEqual(await draw(7), await draw(7));
  assert.notDeepEqual(await draw(7), await draw(8));

  const often = new Map<number, number>();
  for (const f of (await draw(7, new Array<EncodedRow>(10).fill(rows[0]!))).flatMap(setsOf))
    often.set(f, (often.get(f) ?? 0) + 1);
  assert.deepEqual([...often.values()], [4, 4, 4, 4, 4]);

  const plan = { dim: DIM, seed: 7, negatives: 16, otherClientAnswers: sets };
  const sketch = (more: { otherClientAnswersLimit?: number }) =>
    sketchRows(compiledGraphs, { layout, values: start }, [rows[0]!], { ...plan, ...more }, { meter: new Meter() });
  const format = ({ margin, term }: LogisticRows) => [...margin].filter((_, r) => term[r] === ROW_TERMS.format);
  const [all, two] = [format(await sketch({})), format(await sketch({ otherClientAnswersLimit: 2 }))];
  assert.deepEqual([all.length, two.length], [6, 3]);
  for (const h of two.slice(1)) assert.ok(all.slice(1).some((one) => Math.abs(one - Math.log(5 / 2) - h) < 1e-4));
});

test("a client reports the prefixes at which its labels diverge, and no text of one row alone", () => {
  const rows = [
    ...TREE,
    rowOf(
      [
        [9, 20],
        [1, 2, 3],
      ],
      0,
    ),
  ];
  assert.deepEqual(answerPrefixesOf(rows), [
    [9],
    [9, 20],
    [9, 30],
    [9, 30, 41],
    [9, 30, 42],
    [9, 60],
    [9, 60, 61],
    [9, 60, 61, 62],
    [9, 70],
  ]);
  const many = Array.from({ length: 4097 }, (_, k) => [k]);
  assert.throws(() => answerPrefixesOf([rowOf(many, 0), rowOf(many, 1)]), {
    code: "task_failed",
    message: /4097.*two-term/,
  });
});
