/**
 * Margins of rows and their gradients in a fresh adapter, per example: the estimate is linear in these. Margins are computed from logits
 * in float64, independently of the graphs that sketch them. It knows nothing of their use.
 */
import type { EncodedRow } from "../../../client/data/types.js";
import type { AdapterLayout, AdapterTensor, AdapterValues } from "../../../client/tuning/adapter.js";
import {
  batchesOf,
  inputSequence,
  marginFeeds,
  scoredTokenFeeds,
  scoredTokensOf,
  sequenceFeeds,
} from "../../../client/tuning/batches.js";
import type { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { perExampleGraph } from "../../../client/tuning/graphs.js";
import { Forward } from "../../../client/tuning/mixing.js";
import { comparisonsOf } from "../../../client/tuning/negatives.js";
import { sizeOf } from "../../../shared/base/tensors.js";

/**
 * `answer`: mean over the scored tokens of the log odds against the rest of the vocabulary. `choice`: log odds of the right choice
 * against all others together, each at its first token that differs from the right one.
 */
export const ROW_MARGINS = ["answer", "choice"] as const;
export type RowMargin = (typeof ROW_MARGINS)[number];

export const hasMargin = (row: EncodedRow, margin: RowMargin): boolean =>
  margin === "answer" || row.choices !== undefined;

/** @param logits [scored tokens of the row, vocabulary] */
export function marginOf(
  row: EncodedRow,
  logits: Float32Array | Float64Array,
  vocabulary: number,
  margin: RowMargin,
): number {
  if (margin === "choice") return -logSumExp(leadsOfOthers(row, logits, vocabulary));
  let sum = 0;
  row.scored.forEach((at, s) => {
    sum += against(logits.subarray(s * vocabulary, (s + 1) * vocabulary), row.tokens[at] as number);
  });
  return sum / row.scored.length;
}

/** One logit minus the logsumexp of the others. */
function against(logits: Float32Array | Float64Array, right: number): number {
  return logits[right]! - logSumExp(logits, right);
}

/** Logit of each other choice minus that of the right one, at their first difference, where it is scored. */
function leadsOfOthers({ choices }: EncodedRow, logits: Float32Array | Float64Array, vocabulary: number): Float64Array {
  const { tokens, scored, answer } = choices!;
  const right = tokens[answer]!;
  const leads = new Map<number, number>();
  for (const other of tokens) {
    const place = right.findIndex((token, k) => token !== other[k]);
    const negative = place < 0 ? undefined : other[place];
    const at = scored[answer]!.indexOf(place);
    if (negative === undefined || at < 0) continue;
    const from = at * vocabulary;
    leads.set(from + negative, logits[from + negative]! - logits[from + right[place]!]!);
  }
  return Float64Array.from(leads.values());
}

/** @param without index of a value to leave out */
function logSumExp(values: Float32Array | Float64Array, without = -1): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < values.length; k++) if (k !== without) most = Math.max(most, values[k]!);
  let sum = 0;
  for (let k = 0; k < values.length; k++) if (k !== without) sum += Math.exp(values[k]! - most);
  return most + Math.log(sum);
}

/** Batches of rows of similar length. @param most tokens per batch, with padding */
function batched(rows: readonly EncodedRow[], most: number): { readonly row: EncodedRow; readonly at: number }[][] {
  const sorted = rows
    .map((row, at) => ({ row, at }))
    .sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.at - b.at);
  return batchesOf(sorted, ({ row }) => row.tokens.length, most);
}

/** Largest number of tokens times adapters per batch: all their logits are in memory at once. */
const FORWARD_TOKENS = 4096;

/** The compiled graphs of a base, the layout of adapters on it, and the meter of the work. */
export interface AdaptedBase {
  readonly compiledGraphs: CompiledGraphs;
  readonly layout: AdapterLayout;
  readonly meter: Meter;
}

/**
 * Runs rows under several adapters in one pass.
 * @param visit receives each row's index and its logits [scored tokens, vocabulary] under each adapter
 */
export async function eachLogits(
  { compiledGraphs, layout, meter }: AdaptedBase,
  adapters: readonly AdapterValues[],
  rows: readonly EncodedRow[],
  visit: (at: number, logits: readonly Float32Array[]) => void,
): Promise<void> {
  const { runtime, model } = compiledGraphs;
  const { vocabulary } = model.architecture;
  const forward = await Forward.open(compiledGraphs, layout, adapters, meter);
  try {
    for (const batch of batched(rows, FORWARD_TOKENS / adapters.length)) {
      const own = batch.map(({ row }) => row);
      const sequences = sequenceFeeds(own.map(inputSequence), model.architecture);
      const asks = scoredTokensOf(own);
      const logits = await forward.logits({
        ...sequences,
        ...scoredTokenFeeds(asks, sequences.tokens!.shape[1] as number),
      });
      const data = (await runtime.download(logits)).data as Float32Array;
      compiledGraphs.free(logits);
      let first = 0;
      for (const { row, at } of batch) {
        const of = (adapter: number) => {
          const from = (adapter * asks.length + first) * vocabulary;
          return data.subarray(from, from + row.scored.length * vocabulary);
        };
        visit(at, Array.from(adapters.keys(), of));
        first += row.scored.length;
      }
    }
  } finally {
    forward.close();
  }
}

/** The tensors with a gradient in a fresh adapter: while the second factors are zero, the gradients of the first ones are too. */
export const gradientTensors = ({ tensors }: AdapterLayout): readonly AdapterTensor[] =>
  tensors.filter(({ factor }) => factor === "second");

/** The second factors of a vector of trained values, concatenated like gradients. */
export function secondFactors(layout: AdapterLayout, trained: Float32Array): Float32Array {
  const parts = gradientTensors(layout).map(({ shape, offset }) => trained.subarray(offset, offset + sizeOf(shape)));
  const joined = new Float32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let from = 0;
  for (const part of parts) {
    joined.set(part, from);
    from += part.length;
  }
  return joined;
}

/** Largest number of tokens per batch of gradients: each example takes memory for a whole gradient. */
const GRADIENT_TOKENS = 512;

/**
 * The gradient of each row's margin in all second factors.
 * @param start fresh values. @param rows with such a margin
 * @param visit receives each row's index, its margin and its gradient: `gradientTensors` concatenated
 */
export async function eachGradient(
  { compiledGraphs, layout, meter }: AdaptedBase,
  start: AdapterValues,
  rows: readonly EncodedRow[],
  margin: RowMargin,
  visit: (at: number, margin: number, gradient: Float32Array) => void,
): Promise<void> {
  const { model } = compiledGraphs;
  const adapter = {
    trained: { shape: [layout.trainedSize], data: start.trained },
    ...(layout.frozenSize > 0 ? { frozen: { shape: [layout.frozenSize], data: start.frozen } } : {}),
  };
  const negatives = margin === "choice" ? 1 : 0;
  const output = margin === "choice" ? { h: "choice0Margin", g: "choice0Grad" } : { h: "margin", g: "grad" };
  const tensors = gradientTensors(layout);
  const size = tensors.reduce((sum, { shape }) => sum + sizeOf(shape), 0);
  const program = await compiledGraphs.get(`per-example-${margin}`, layout, () =>
    perExampleGraph(model, layout, {
      ...(negatives > 0 && { compared: { negatives, otherClientAnswers: 0 } }),
      fresh: true,
    }),
  );
  for (const batch of batched(rows, GRADIENT_TOKENS)) {
    const own = batch.map(({ row }) => row);
    const comparisons = await comparisonsOf(
      compiledGraphs,
      { layout, feeds: adapter },
      own,
      { negatives, seed: 0 },
      meter,
    );
    const feeds = marginFeeds(
      own,
      model.architecture,
      comparisons.filter((comparison) => comparison !== undefined),
    );
    const outputs = (await meter.run(program, { ...feeds, ...adapter })).tensors;
    batch.forEach(({ at }, i) => {
      const gradient = new Float32Array(size);
      let from = 0;
      for (const { name, shape } of tensors) {
        const count = sizeOf(shape);
        const data = outputs[`${output.g}:${name}`]!.data as Float32Array;
        gradient.set(data.subarray(i * count, (i + 1) * count), from);
        from += count;
      }
      visit(at, outputs[output.h]!.data[i] as number, gradient);
    });
  }
}
