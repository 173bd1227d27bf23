/** The saving by running an ensemble's members in one pass: classification by M adapters at once, and by one pass per adapter. */
import { moduleNames } from "../../client/models/architecture.js";
import { type BaseModel, openBaseModel } from "../../client/models/base.js";
import { singleText } from "../../client/models/positions.js";
import { type AdapterLayout, type AdapterValues, initialAdapter } from "../../client/tuning/adapter.js";
import { type Feeds, scoredTokenFeeds, scoredTokensOf, sequenceFeeds } from "../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { generate } from "../../client/tuning/generation.js";
import { forwardGraph } from "../../client/tuning/graphs.js";
import { loraLayout } from "../../client/tuning/lora.js";
import { Forward } from "../../client/tuning/mixing.js";
import { asset } from "../../shared/base/assets.js";
import type { ResidentTensor, Runtime } from "../../shared/runtimes/types.js";
import { median } from "./engine.js";
import { randomRows, withRandomModel } from "./shape.js";

const MEMBERS = 4;
const LENGTH = 32;
const BATCHES = [1, 4, 16];
const RANK = 16;
const NEW_TOKENS = 16;
const WARM_UP = 2;
const REPEATS = 5;

export async function benchMembers(runtime: Runtime, print: (line: string) => void): Promise<void> {
  print("  the demo's model (0.6 M parameters)");
  await compareMembers(runtime, await openBaseModel(asset("simulations", "demo", "model")), print);
  print("  SmolLM2-135M shape");
  await withRandomModel((model) => compareMembers(runtime, model, print));
}

/** -log p of one token per row under each of `MEMBERS` adapters, a line per batch size; and text written by their mixture. */
async function compareMembers(runtime: Runtime, model: BaseModel, print: (line: string) => void): Promise<void> {
  const modules = moduleNames(model.architecture);
  const layout = loraLayout(model.architecture, { rank: RANK, alpha: 2 * RANK, modules, dropout: 0, freezeA: false });
  const compiledGraphs = new CompiledGraphs(runtime, model);
  const members = Array.from({ length: MEMBERS }, (_, seed) => initialAdapter(layout, seed));
  const ratio = async (what: string, together: () => Promise<unknown>, apart: () => Promise<unknown>) => {
    const [one, several] = await timed(together, apart);
    const ms = (seconds: number): string => `${(1000 * seconds).toFixed(1)} ms`;
    print(`  ${what}: ${ms(one)} in one pass, ${ms(several)} in ${MEMBERS}, ratio ${(several / one).toFixed(2)}`);
  };
  print(`  ${MEMBERS} adapters of rank ${RANK} on all linears`);
  const forward = await Forward.open(compiledGraphs, layout, members, new Meter());
  const passes = await onePassEach(compiledGraphs, layout, members);
  for (const batch of BATCHES) {
    const feeds = classificationFeeds(model, batch);
    await ratio(
      `classification, ${batch} x ${LENGTH} tokens`,
      () => forward.nll(feeds),
      () => passes(feeds),
    );
  }
  forward.close();
  const prompts = randomRows(model, 1, LENGTH, 1).map(({ tokens }) => tokens.subarray(0, LENGTH));
  const plan = { maxNewTokens: NEW_TOKENS, ends: new Set<number>(), temperature: 0, topK: 0, topP: 1, seed: 0 };
  const write = (some: readonly AdapterValues[]): Promise<unknown> =>
    generate(
      compiledGraphs,
      { layout, members: some, weights: Array(some.length).fill(1 / some.length) },
      prompts,
      plan,
      { meter: new Meter() },
    );
  await ratio(
    `${NEW_TOKENS} tokens written behind ${LENGTH}`,
    () => write(members),
    async () => {
      for (const member of members) await write([member]);
    },
  );
  await compiledGraphs.close();
}

/** The same without stacking: a graph of one adapter, run once for each. */
async function onePassEach(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
): Promise<(feeds: Feeds) => Promise<void>> {
  const { runtime, model } = compiledGraphs;
  const program = await compiledGraphs.get("one-adapter", layout, () => forwardGraph(model, layout));
  const trained: ResidentTensor[] = [];
  for (const values of members) {
    trained.push(await runtime.upload({ shape: [layout.trainedSize], data: values.trained }));
  }
  const meter = new Meter();
  return async (feeds) => {
    for (const values of trained) await meter.run(program, { ...feeds, trained: values }, { fetch: ["nll"] });
  };
}

/** Rows with only the last token scored. */
function classificationFeeds(model: BaseModel, batch: number): Feeds {
  const rows = randomRows(model, batch, LENGTH, 1);
  const prompts = rows.map(({ tokens }) => tokens.subarray(0, LENGTH));
  return {
    ...sequenceFeeds(prompts.map(singleText), model.architecture),
    ...scoredTokenFeeds(scoredTokensOf(rows), LENGTH),
  };
}

/** Medians of both, in seconds; measured alternately, so that other load affects both equally. */
async function timed(a: () => Promise<unknown>, b: () => Promise<unknown>): Promise<[number, number]> {
  const times: [number[], number[]] = [[], []];
  for (let i = 0; i < WARM_UP + REPEATS; i++) {
    for (const [at, run] of [a, b].entries()) {
      const start = performance.now();
      await run();
      if (i >= WARM_UP) times[at]!.push((performance.now() - start) / 1000);
    }
  }
  return [median(times[0]), median(times[1])];
}
