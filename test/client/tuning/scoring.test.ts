/** Mixtures, weights and choices, each against its definition computed from downloaded logits. */
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import type { EncodedRow } from "../../../client/data/types.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { fitEnsembleWeights } from "../../../client/tuning/ensemble-weights.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { choiceNlls, scoreMixtures } from "../../../client/tuning/scoring.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { weightAlternatives } from "../../../tasks/fit-weights/message.js";
import { choicesOf } from "../../support/choices.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime();
let compiledGraphs: CompiledGraphs;
let layout: AdapterLayout;
let members: AdapterValues[];
before(async () => {
  compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(asset("test", "fixtures", "llama", "tied")));
  layout = loraLayout(compiledGraphs.model.architecture, { rank: 4, alpha: 8, modules: [], dropout: 0, freezeA: true });
  members = [1, 2, 3].map((seed) => {
    const rng = new SeededRng(seed, "member");
    const values = emptyAdapter(layout);
    for (const part of [values.frozen, values.trained])
      for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
    return values;
  });
});
after(() => runtime.close());

const row = (seed: number, choices?: readonly (readonly number[])[]): EncodedRow => {
  const rng = new SeededRng(seed, "row");
  const prompt = [1, ...Array.from({ length: 3 + rng.int(8) }, () => 5 + rng.int(100))];
  const completion = choices ? [...choices[0]!] : Array.from({ length: 1 + rng.int(4) }, () => 5 + rng.int(100));
  const tokens = Int32Array.from([...prompt, ...completion]);
  const scored = Int32Array.from(completion, (_, i) => prompt.length + i);
  if (!choices) return { tokens, scored };
  return {
    tokens,
    scored,
    choices: choicesOf(prompt.length, choices, 0),
  };
};

/** log p of each scored token of a sequence under a mixture, from the definition in float64. */
async function logProbabilities(tokens: Int32Array, from: number, weights: readonly number[]): Promise<number> {
  const shape = [1, tokens.length] as const;
  const data = { shape, data: tokens };
  const base = await allLogits(compiledGraphs, layout, undefined, data, new Meter());
  const parts = await Promise.all(members.map((m) => allLogits(compiledGraphs, layout, m, data, new Meter())));
  const vocabulary = base.length / tokens.length;
  let sum = 0;
  for (let at = from; at < tokens.length; at++) {
    const z = Float64Array.from({ length: vocabulary }, (_, k) => {
      const i = (at - 1) * vocabulary + k;
      return weights.reduce((value, w, j) => value + w * (parts[j]![i]! - base[i]!), base[i]!);
    });
    const top = Math.max(...z);
    sum += z[tokens[at]!]! - top - Math.log(z.reduce((s, x) => s + Math.exp(x - top), 0));
  }
  return sum;
}

test("a mixture's loss is that of base + sum of w (member - base), for the base, a member and proper mixtures", async () => {
  const rows = [row(1), row(2), row(3)];
  const mixtures = [[], [0, 1, 0], [0.3, 0.5, 0], [1, 0.5, 0.25], [0, 0, 0]];
  const scores = await scoreMixtures(compiledGraphs, { layout, members }, mixtures, rows, { meter: new Meter() });
  for (const [m, weights] of mixtures.entries()) {
    let expected = 0;
    for (const { tokens, scored } of rows) expected -= await logProbabilities(tokens, scored[0]!, weights);
    assert.ok(
      Math.abs(scores[m]!.nllSum - expected) < 1e-3 * expected,
      `${weights}: ${scores[m]!.nllSum}, ${expected}`,
    );
    assert.equal(
      scores[m]!.tokens,
      rows.reduce((n, r) => n + r.scored.length, 0),
    );
  }
});

test("the right choice is the one with the highest total log-likelihood, whatever prefixes the choices share", async () => {
  const sets = [
    [[10], [11], [12]],
    [[10, 20], [10, 21], [11]],
    [[30, 31, 32], [30], [33, 34]],
  ];
  const rows = sets.flatMap((choices, s) => [0, 1, 2, 3].map((i) => row(10 * s + i, choices)));
  const [score] = await scoreMixtures(compiledGraphs, { layout, members }, [[1, 0, 0]], rows, { meter: new Meter() });
  let right = 0;
  for (const { tokens, choices } of rows) {
    const prompt = tokens.slice(0, choices!.promptLength);
    const totals: number[] = [];
    for (const choice of choices!.tokens) {
      totals.push(await logProbabilities(Int32Array.from([...prompt, ...choice]), prompt.length, [1, 0, 0]));
    }
    if (totals.every((total, c) => c === 0 || total < totals[0]!)) right++;
  }
  assert.equal(score!.correct, right);
  assert.equal(score!.choiceRows, rows.length);
  assert.ok(right > 0 && right < rows.length, "all rows alike would prove nothing");
});

test("choices that change the prompt's tokens are scored on their own tokens alone, after the tokens that they change", async () => {
  const prompt = [1, 7, 8];
  const lists = [[50], [9, 51], [9, 52, 53], [10, 51]].map((tokens) => Int32Array.from(tokens));
  const scored = [[0], [1], [1, 2], [1]].map((at) => Int32Array.from(at));
  const rowAfter = (length: number): EncodedRow => {
    const before = prompt.slice(length);
    return {
      tokens: Int32Array.from([...prompt, 9, 51]),
      scored: Int32Array.of(4),
      choices: {
        promptLength: length,
        tokens: lists.map((tokens) => Int32Array.from([...before, ...tokens])),
        scored: scored.map((places) => places.map((at) => at + before.length)),
        answer: 1,
      },
    };
  };
  // The choices may share less than they could; nothing at all, too.
  const rows = [3, 1, 0].map(rowAfter);
  const found = await choiceNlls(compiledGraphs, { layout, members }, [1, 0, 0], rows, { meter: new Meter() });
  for (const nlls of found) {
    assert.equal(nlls.length, lists.length);
    for (const [choice, list] of lists.entries()) {
      const tokens = Int32Array.from([...prompt, ...list]);
      const expected = -(await logProbabilities(tokens, prompt.length + scored[choice]![0]!, [1, 0, 0]));
      assert.ok(
        Math.abs(nlls[choice]! - expected) < 1e-4 * expected,
        `choice ${choice}: ${nlls[choice]}, not ${expected}`,
      );
    }
  }
});

test("fitted weights minimise the objective: no small step is better, and no weight is negative", async () => {
  const rows = [1, 2, 3, 4, 5, 6].map((seed) => row(seed));
  const prior = [1, 0, 0];
  const strength = 2;
  const fit = await fitEnsembleWeights(
    compiledGraphs,
    { layout, members },
    rows,
    { prior, strength },
    { meter: new Meter() },
  );
  const objective = async (weights: readonly number[]): Promise<number> => {
    const [score] = await scoreMixtures(compiledGraphs, { layout, members }, [weights], rows, { meter: new Meter() });
    const away = weights.reduce((sum, w, j) => sum + (w - prior[j]!) ** 2, 0);
    return score!.nllSum / score!.tokens + ((strength / rows.length) * away) / 2;
  };
  const here = await objective(fit.weights);
  const alternatives = weightAlternatives(fit.weights, prior);
  const scores = await scoreMixtures(compiledGraphs, { layout, members }, alternatives, rows, { meter: new Meter() });
  scores.forEach(({ nllSum, tokens }, at) => {
    assert.equal(tokens, fit.tokens);
    assert.ok(
      Math.abs(nllSum - fit.nllSums[at]!) < 1e-4 * nllSum,
      `alternative ${at}: ${fit.nllSums[at]}, not ${nllSum}`,
    );
  });
  assert.ok(fit.weights.every((w) => w >= 0));
  assert.ok(here < (await objective(prior)) - 1e-3, "the fit went nowhere");
  for (let j = 0; j < 3; j++) {
    for (const step of [-0.05, 0.05]) {
      const moved = fit.weights.map((w, k) => (k === j ? Math.max(0, w + step) : w));
      assert.ok((await objective(moved)) >= here - 1e-5, `better at ${moved}`);
    }
  }
});

test("a larger strength moves the weights towards the prior", async () => {
  const rows = [1, 2, 3].map((seed) => row(seed));
  const distance = async (strength: number): Promise<number> => {
    const { weights } = await fitEnsembleWeights(
      compiledGraphs,
      { layout, members },
      rows,
      { prior: [1, 0, 0], strength },
      { meter: new Meter() },
    );
    return Math.hypot(...weights.map((w, j) => w - [1, 0, 0][j]!));
  };
  const [loose, tight] = [await distance(0.1), await distance(1e4)];
  assert.ok(tight < 0.01 && loose > 10 * tight, `${loose}, ${tight}`);
});
