/**
 * Margins of rows and their gradients in a fresh adapter, example by example: what the estimate is a linear function of. Margins
 * are taken from logits in float64, apart from the graphs that sketch them. It knows nothing of what is made of them.
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
 * `answer`: log odds of each scored token against the rest of the vocabulary, their mean. `choice`: log odds of the right choice
 * against all others together, each where it parts from the right one.
 */
export const MARGINS = ["answer", "choice"] as const;
export type Margin = (typeof MARGINS)[number];

export const hasMargin = (row: EncodedRow, margin: Margin): boolean => margin === "answer" || row.choices !== undefined;

/** @param logits [scored tokens of the row, vocabulary] */
export function marginOf(
  row: EncodedRow,
  logits: Float32Array | Float64Array,
  vocabulary: number,
  margin: Margin,
): number {
  if (margin === "choice") return -logSumExp(rivalLeads(row, logits, vocabulary));
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

/** What each other choice's logit leads the right one's by, where they part. */
function rivalLeads({ choices }: EncodedRow, logits: Float32Array | Float64Array, vocabulary: number): Float64Array {
  const { tokens, answer } = choices!;
  const right = tokens[answer]!;
  const leads = new Map<number, number>();
  for (const other of tokens) {
    const place = right.findIndex((token, k) => token !== other[k]);
    const negative = place < 0 ? undefined : other[place];
    if (negative === undefined) continue;
    const from = place * vocabulary;
    leads.set(from + negative, logits[from + negative]! - logits[from + right[place]!]!);
  }
  return Float64Array.from(leads.values());
}

/** @param without the place of one that does not count */
function logSumExp(values: Float32Array | Float64Array, without = -1): number {
  let most = Number.NEGATIVE_INFINITY;
  for (let k = 0; k < values.length; k++) if (k !== without) most = Math.max(most, values[k]!);
  let sum = 0;
  for (let k = 0; k < values.length; k++) if (k !== without) sum += Math.exp(values[k]! - most);
  return most + Math.log(sum);
}

/** Rows of similar length together. @param most tokens of a batch, padding included */
function batched(rows: readonly EncodedRow[], most: number): { readonly row: EncodedRow; readonly at: number }[][] {
  const sorted = rows
    .map((row, at) => ({ row, at }))
    .sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.at - b.at);
  return batchesOf(sorted, ({ row }) => row.tokens.length, most);
}

/** Tokens of a batch times adapters: their logits are held at once. */
const FORWARD_TOKENS = 4096;

/**
 * Runs rows under several adapters in one pass.
 * @param visit gets each row's place and its logits [scored tokens, vocabulary] under each adapter
 */
export async function eachLogits(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  adapters: readonly AdapterValues[],
  rows: readonly EncodedRow[],
  meter: Meter,
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

/** The tensors that a fresh adapter's gradients are in: those of the first factors are zero while the second ones are. */
export const gradientTensors = ({ tensors }: AdapterLayout): readonly AdapterTensor[] =>
  tensors.filter(({ factor }) => factor === "second");

/** The second factors of a vector of trained values, one behind the other as gradients are given. */
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

/** Tokens of a batch of gradients: they take memory by the example. */
const GRADIENT_TOKENS = 512;

/**
 * The gradient of each row's margin in the second factors, whole.
 * @param start fresh values. @param rows that have such a margin
 * @param visit gets each row's place, its margin and its gradient: `gradientTensors` one behind the other
 */
export async function eachGradient(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  start: AdapterValues,
  rows: readonly EncodedRow[],
  margin: Margin,
  meter: Meter,
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
