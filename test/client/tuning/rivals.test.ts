/** Choice margins against rivals, from downloaded logits, and how the sketches of the forms hang together. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { Meter, Programs } from "../../../client/tuning/programs.js";
import { sketchRows } from "../../../client/tuning/sketching.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { type LogisticRows, ROW_TERMS } from "../../../shared/sketch/types.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime();
let programs: Programs;
let layout: AdapterLayout;
let start: AdapterValues;
before(async () => {
  programs = new Programs(runtime, await openBaseModel(asset("test", "fixtures", "llama", "tied")));
  layout = loraLayout(programs.model.architecture, { rank: 4, alpha: 8, modules: [], dropout: 0, freezeA: true });
  const rng = new SeededRng(1, "start");
  start = emptyAdapter(layout);
  for (const part of [start.frozen, start.trained]) for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
});
after(() => runtime.close());

const DIM = 24;
/** A row of so many choices, the right one in the middle. */
const row = (seed: number, choices: number): EncodedRow => {
  const rng = new SeededRng(seed, "row");
  const prompt = Array.from({ length: 4 + rng.int(6) }, () => 5 + rng.int(100));
  const tokens = Array.from({ length: choices }, (_, k) => Int32Array.of(7 + 11 * k + rng.int(11)));
  const answer = choices >> 1;
  return {
    tokens: Int32Array.from([...prompt, ...tokens[answer]!]),
    scored: Int32Array.of(prompt.length),
    choices: { promptLength: prompt.length, tokens, answer },
  };
};
const ROWS = [row(1, 2), row(2, 6), row(3, 4), row(4, 6), row(5, 3)];

const sketched = (rivals: number, foreign: number[][] = []): Promise<LogisticRows> =>
  sketchRows(programs, layout, start, ROWS, { dim: DIM, seed: 5, rivals, foreign }, new Meter());

/** Logits behind the row's prompt. */
async function answerLogits({ tokens, choices }: EncodedRow): Promise<number[]> {
  const all = await allLogits(programs, layout, start, { shape: [1, tokens.length], data: tokens }, new Meter());
  const vocabulary = all.length / tokens.length;
  return Array.from(all.subarray((choices!.promptLength - 1) * vocabulary, choices!.promptLength * vocabulary));
}

const firsts = ({ choices }: EncodedRow): number[] => choices!.tokens.map(([first]) => first!);

async function choiceLogits(encoded: EncodedRow): Promise<number[]> {
  const logits = await answerLogits(encoded);
  return firsts(encoded).map((token) => logits[token]!);
}

const logSumExp = (values: readonly number[]): number => Math.log(values.reduce((sum, x) => sum + Math.exp(x), 0));

test("each of the strongest rivals has a margin of its own and the others share one", async () => {
  for (const most of [1, 3, 8]) {
    const { example, term, margin } = await sketched(most);
    for (const [e, encoded] of ROWS.entries()) {
      const logits = await choiceLogits(encoded);
      const { answer } = encoded.choices!;
      const rivals = logits.filter((_, k) => k !== answer);
      if (rivals.length > most) rivals.sort((a, b) => b - a);
      const apart = rivals.length > most ? most - 1 : rivals.length;
      const wanted = rivals.slice(0, apart).map((z) => logits[answer]! - z);
      if (apart < rivals.length) wanted.push(logits[answer]! - logSumExp(rivals.slice(apart)));
      const got = margin.filter((_, r) => example[r] === e && term[r] === ROW_TERMS.choice);
      assert.equal(got.length, wanted.length);
      wanted.forEach((h, r) => {
        assert.ok(Math.abs(got[r]! - h) < 1e-4, `at most ${most}, row ${e}, rival ${r}: ${got[r]}, not ${h}`);
      });
    }
  }
});

test("the sketch against all rivals together is the mean of their sketches, weighted as the softmax of their logits", async () => {
  const [together, apart] = [await sketched(1), await sketched(8)];
  const choices = ({ example, term }: LogisticRows, e: number): number[] =>
    [...example.keys()].filter((r) => example[r] === e && term[r] === ROW_TERMS.choice);
  for (const e of ROWS.keys()) {
    const rivals = choices(apart, e);
    const total = logSumExp(rivals.map((r) => -apart.margin[r]!));
    const mean = new Float64Array(DIM);
    for (const r of rivals)
      for (let d = 0; d < DIM; d++) mean[d]! += Math.exp(-apart.margin[r]! - total) * apart.sketch[r * DIM + d]!;
    const at = choices(together, e)[0]! * DIM;
    const size = Math.hypot(...mean);
    assert.ok(size > 0);
    mean.forEach((x, d) => {
      assert.ok(Math.abs(x - together.sketch[at + d]!) < 1e-4 * size, `row ${e}, entry ${d}`);
    });
  }
});

test("the choices have a margin against each set of foreign answers, and all terms together are the answer's likelihood", async () => {
  // The first set is partly the rows' own choices, the second is all the first row's own and left out there, the last has no tokens.
  const foreign = [[...firsts(ROWS[2]!), 101, 102], firsts(ROWS[0]!), [103, 1e6], [1e9]];
  const { example, term, margin } = await sketched(3, foreign);
  for (const [e, encoded] of ROWS.entries()) {
    const logits = await answerLogits(encoded);
    const own = firsts(encoded);
    const sets = foreign
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
