/** Continuations with cached keys and values, against running the whole text anew for every token. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { moduleNames } from "../../../client/models/architecture.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "../../../client/tuning/adapter.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { type GenerationPlan, generate } from "../../../client/tuning/generation.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { mixFactors } from "../../../client/tuning/mixing.js";
import { likeliestToken, sampleToken } from "../../../client/tuning/sampling.js";
import { asset } from "../../../shared/base/assets.js";
import { SeededRng } from "../../../shared/base/random.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime({ threads: 1 });
after(() => runtime.close());

const DATA = process.env.KINDRED_DATA;
const GREEDY: GenerationPlan = { maxNewTokens: 12, ends: new Set(), temperature: 0, topK: 0, topP: 1, seed: 0 };

async function opened(...path: string[]) {
  const model = await openBaseModel(asset("test", "fixtures", ...path));
  const modules = moduleNames(model.architecture);
  const layout = loraLayout(model.architecture, { rank: 4, alpha: 8, modules, dropout: 0, freezeA: true });
  const members = [1, 2, 3].map((seed): AdapterValues => {
    const rng = new SeededRng(seed, "member");
    const values = emptyAdapter(layout);
    for (const part of [values.frozen, values.trained])
      for (let i = 0; i < part.length; i++) part[i] = 0.2 * rng.normal();
    return values;
  });
  return { compiledGraphs: new CompiledGraphs(runtime, model), layout, members };
}

/** The logits [V] after a text, from a run of the whole text. */
async function logitsAfter(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  weights: readonly number[],
  tokens: readonly number[],
): Promise<Float32Array> {
  const width = compiledGraphs.model.architecture.vocabulary;
  const sum = new Float32Array(width);
  const factors = mixFactors(weights);
  for (const [j, values] of [undefined, ...members].entries()) {
    const data = { shape: [1, tokens.length] as const, data: Int32Array.from(tokens) };
    const all = await allLogits(compiledGraphs, layout, values, data, new Meter());
    all.subarray(-width).forEach((x, i) => {
      sum[i]! += (factors[j] ?? 0) * x;
    });
  }
  return sum;
}

const prompts = [[1, 9, 4], [1, 7, 3, 8, 5, 6, 2], [1]].map((tokens) => Int32Array.from(tokens));

for (const [path, weights] of [
  [["llama", "tied"], []],
  [
    ["llama", "tied"],
    [0.7, 0, 0.5],
  ],
  [
    ["families", "gpt2"],
    [0, 1, 0],
  ],
  [
    ["families", "gptj"],
    [0.4, 0.4, 0.4],
  ],
  [["families", "pythia"], []],
  [
    ["families", "mistral-window"],
    [0.5, 0.5, 0],
  ],
] as const) {
  test(`${path.at(-1)}, weights ${JSON.stringify(weights)}: each token is the likeliest after those before it`, async () => {
    const { compiledGraphs, layout, members } = await opened(...path);
    const got = await generate(compiledGraphs, { layout, members, weights }, prompts, GREEDY, { meter: new Meter() });
    for (const [i, prompt] of prompts.entries()) {
      const tokens = [...prompt];
      while (tokens.length < prompt.length + GREEDY.maxNewTokens) {
        tokens.push(likeliestToken(await logitsAfter(compiledGraphs, layout, members, weights, tokens)));
      }
      assert.deepEqual([...got[i]!.tokens], tokens.slice(prompt.length), `prompt ${i}`);
      assert.equal(got[i]!.ended, false);
    }
    await compiledGraphs.close();
  });
}

test("an end token ends its own row alone and is no part of the answer, and other prompts of the batch change nothing", async () => {
  const { compiledGraphs, layout, members } = await opened("llama", "tied");
  const run = (which: readonly Int32Array[], plan: Partial<GenerationPlan>) =>
    generate(
      compiledGraphs,
      { layout, members, weights: [1, 0, 0] },
      which,
      { ...GREEDY, ...plan },
      { meter: new Meter() },
    );
  const free = await run(prompts, {});
  const end = free[0]!.tokens[4]!;
  const first = free.map(({ tokens }) => tokens.indexOf(end));
  const stopped = await run(prompts, { ends: new Set([end]) });
  for (const [i, { tokens, ended }] of stopped.entries()) {
    assert.equal(ended, first[i]! >= 0);
    assert.deepEqual(tokens, first[i]! >= 0 ? free[i]!.tokens.slice(0, first[i]) : free[i]!.tokens);
  }
  const alone = await run(prompts.slice(0, 1), { ends: new Set([end]) });
  assert.deepEqual(alone[0], stopped[0]);
  await compiledGraphs.close();
});

test("drawn tokens depend on the seed", async () => {
  const { compiledGraphs, layout, members } = await opened("llama", "tied");
  const draw = async (seed: number) => {
    const plan = { ...GREEDY, temperature: 1, topK: 50, topP: 0.95, seed };
    return (
      await generate(compiledGraphs, { layout, members, weights: [] }, prompts, plan, { meter: new Meter() })
    ).map(({ tokens }) => [...tokens]);
  };
  assert.deepEqual(await draw(1), await draw(1));
  assert.notDeepEqual(await draw(1), await draw(2));
  await compiledGraphs.close();
});

test("draws follow temperature, k and p", () => {
  const logits = Float32Array.from([0.5, 0.3, 0.15, 0.05], Math.log);
  const DRAWS = 4000;
  const shares = (temperature: number, topK: number, topP: number): number[] => {
    const rng = new SeededRng(5, "draws");
    const counts = [0, 0, 0, 0];
    for (let i = 0; i < DRAWS; i++) counts[sampleToken(logits, { temperature, topK, topP }, rng)]!++;
    return counts.map((count) => count / DRAWS);
  };
  for (const [temperature, topK, topP, wanted] of [
    [1, 0, 1, [0.5, 0.3, 0.15, 0.05]],
    [0.5, 0, 1, [0.25, 0.09, 0.0225, 0.0025].map((odds) => odds / 0.365)],
    [1, 2, 1, [0.625, 0.375, 0, 0]],
    [1, 0, 0.7, [0.625, 0.375, 0, 0]],
    [1, 3, 0.5, [1, 0, 0, 0]],
    [0, 0, 1, [1, 0, 0, 0]],
  ] as const) {
    // Five standard deviations of a share of 4000 draws: a false alarm once in a million runs.
    shares(temperature, topK, topP).forEach((share, i) => {
      const spread = 5 * Math.sqrt((wanted[i]! * (1 - wanted[i]!)) / DRAWS);
      assert.ok(Math.abs(share - wanted[i]!) <= spread, `token ${i} at ${temperature}, ${topK}, ${topP}: ${share}`);
    });
  }
});

test("stories260K continues with its published story", {
  skip: DATA === undefined && "KINDRED_DATA is not set",
}, async () => {
  const path = asset("test", "fixtures", "stories260K", "greedy.json");
  const { tokens } = JSON.parse(readFileSync(path, "utf8")) as { tokens: number[] };
  const model = await openBaseModel(join(DATA as string, "models", "stories260K"));
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const layout = loraLayout(model.architecture, { rank: 1, alpha: 1, modules: [], dropout: 0, freezeA: true });
  const plan = { ...GREEDY, maxNewTokens: tokens.length - 1 };
  const [story] = await generate(compiledGraphs, { layout, members: [], weights: [] }, [Int32Array.of(1)], plan, {
    meter: new Meter(),
  });
  assert.deepEqual([1, ...story!.tokens], tokens);
  await compiledGraphs.close();
});
