/** Rounds of a strategy over updates in memory: the whole way from clients' bytes to the next values, without clients. */
import { type FoldedRound, RoundFold, type StoredState } from "../../../coordinator/rounds/fold.js";
import type { Round, Strategy } from "../../../coordinator/strategies/strategy.js";
import { encodeSafetensors, parseSafetensors } from "../../../shared/adapters/safetensors.js";
import { SeededRng } from "../../../shared/base/random.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";
import type { BlobRef, TunedSpec } from "../../../shared/wire/types.js";
import { MemoryBlobs } from "../../support/memory-blobs.js";

export const LORA: TunedSpec = {
  kind: "lora",
  rank: 1,
  alpha: 1,
  modules: [],
  dropout: 0,
  initSeed: 1,
  freezeA: true,
  rslora: false,
};
/** Far above what any test moves. */
export const STEPS = { learningRate: 1, weightDecay: 0, steps: 1000 };
/** The one tensor of most tests. */
export const B = "h.lora_B.weight";

export const tensor = (...values: number[]): FloatTensor => ({
  shape: [values.length, 1],
  data: Float32Array.from(values),
});
export const named = (values: readonly number[]): NamedTensors => new Map([[B, tensor(...values)]]);
export const valuesOf = (tensors: NamedTensors, name = B): number[] => Array.from(tensors.get(name)!.data);

export interface TestUpdate {
  readonly client: string;
  /** @default 1 */
  readonly examples?: number;
  /** Tensors, or the bytes that the client sends. */
  readonly sent: NamedTensors | Uint8Array;
}

export interface TestRound {
  readonly strategy: Strategy;
  readonly updates: readonly TestUpdate[];
  readonly start?: NamedTensors | undefined;
  readonly state?: StoredState | undefined;
  readonly index?: number;
  readonly adapter?: TunedSpec;
  readonly expected?: NamedTensors;
  readonly chunkValues?: number;
  readonly learningRate?: number;
  /** Names in the clients' order. @default the updates' */
  readonly clients?: readonly string[];
}

export interface TestOutcome extends Omit<FoldedRound, "next"> {
  readonly next: NamedTensors | undefined;
  readonly ref: BlobRef | undefined;
}

export const tensorsOf = (blobs: MemoryBlobs, ref: BlobRef): NamedTensors => parseSafetensors(blobs.get(ref)).tensors;

export function roundOf({ updates, index = 0, learningRate = 0.01, clients }: TestRound): Round {
  const examplesOf = new Map(updates.map(({ client, examples = 1 }) => [client, examples]));
  return {
    training: "t",
    index,
    count: 3,
    clients: (clients ?? updates.map(({ client }) => client)).map((name) => ({
      name,
      examples: examplesOf.get(name) ?? 1,
      steps: 1,
    })),
    learningRate,
    rng: (label) => new SeededRng(1, index, label),
  };
}

export async function foldRound(test: TestRound, blobs = new MemoryBlobs()): Promise<TestOutcome> {
  const { strategy, start, state, adapter = LORA, expected, chunkValues } = test;
  const fold = new RoundFold({
    blobs,
    strategy,
    round: roundOf(test),
    adapter,
    start: start && blobs.put(encodeSafetensors(start)),
    state,
    expected,
    ...(chunkValues === undefined ? {} : { chunkValues }),
  });
  for (const { client, examples = 1, sent } of test.updates) {
    const bytes = sent instanceof Uint8Array ? sent : encodeSafetensors(sent);
    await fold.accept({ client, examples, values: blobs.put(bytes), steps: STEPS });
  }
  const { next, ...rest } = await fold.finish();
  return { ...rest, next: next && tensorsOf(blobs, next.ref), ref: next?.ref };
}
