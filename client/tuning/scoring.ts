/**
 * Losses and accuracies of rows under the base model, under adapters, and under mixtures of them: what `evaluate` reports,
 * what `predict` chooses by and what ensemble weights are fitted to. All adapters that a batch needs run in one pass.
 *
 * Loss: -log p of the scored tokens. Accuracy: of rows with choices, the share whose right choice has the highest total
 * log-likelihood. Macro-F1: of the same rows and choices, classes being choices of the same tokens.
 */
import { Guesses } from "../../shared/base/macro-f1.js";
import type { HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import type { Score } from "../../tasks/evaluate/message.js";
import type { EncodedRow } from "../data/types.js";
import type { Architecture } from "../models/architecture.js";
import { lengthOf, type Segment, type Sequence, singleText } from "../models/positions.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "./adapter.js";
import { type Ask, askFeeds, type Feeds, looked, sequenceFeeds } from "./batches.js";
import { choiceClasses } from "./classes.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { Forward, membersGraph, mixedNll, mixFactors, neededAdapters } from "./mixing.js";

/** A row laid out for scoring: the sequence to run, tokens to ask of them, and which answer each belongs to. */
interface Layout {
  readonly sequence: Sequence;
  /** `candidate`: 0 is the row's own completion where it has no choices, else the choice's index. */
  readonly asks: readonly (Omit<Ask, "sequence"> & { readonly candidate: number })[];
  readonly candidates: number;
  readonly answer: number;
  readonly scored: number;
}

/**
 * Choices share their prompt, and those that differ in their last token alone share all that is run (what a last token is
 * followed by, nobody asks): a row costs its prompt once, not once a choice.
 */
function layoutOf(row: EncodedRow): Layout {
  const { choices, tokens, scored } = row;
  if (choices === undefined) {
    const asks = Array.from(scored, (at) => ({ position: at - 1, target: tokens[at] as number, candidate: 0 }));
    return { sequence: looked(row), asks, candidates: 1, answer: 0, scored: scored.length };
  }
  const prompt = tokens.subarray(0, choices.promptLength);
  const segments: Segment[] = [...singleText(prompt)];
  /** Where each beginning starts. */
  const begun = new Map<string, number>();
  let length = prompt.length;
  const asks: Layout["asks"][number][] = [];
  choices.tokens.forEach((choice, candidate) => {
    const beginning = choice.subarray(0, choice.length - 1);
    const key = beginning.join(",");
    let start = begun.get(key);
    if (start === undefined) {
      start = length;
      begun.set(key, start);
      if (beginning.length > 0) segments.push({ tokens: beginning, after: 0 });
      length += beginning.length;
    }
    choice.forEach((target, k) => {
      const position = k === 0 ? prompt.length - 1 : (start as number) + k - 1;
      if (position >= 0) asks.push({ position, target, candidate });
    });
  });
  const { answer } = choices;
  return { sequence: segments, asks, candidates: choices.tokens.length, answer, scored: scored.length };
}

/** Bounds of one run of a graph, so that memory grows neither with the rows nor with the adapters. */
export interface ScoringLimits {
  /** Tokens of a batch, padding included, times adapters. */
  readonly tokens: number;
  /** Logits of a batch: asked tokens x vocabulary x adapters. */
  readonly logits: number;
}

const DEFAULT_LIMITS: ScoringLimits = { tokens: 2048, logits: 16_000_000 };

interface ScoringBatch {
  readonly feeds: Feeds;
  readonly rows: readonly { row: number; layout: Layout; firstAsk: number }[];
}

/** Batches of similar length: rows are taken in order of their sequence's length. @param adapters that run in one pass */
function batches(
  rows: readonly EncodedRow[],
  architecture: Architecture,
  limits: ScoringLimits,
  adapters: number,
): ScoringBatch[] {
  const layouts = rows.map(layoutOf);
  const lengths = layouts.map(({ sequence }) => lengthOf(sequence));
  const order = rows.map((_, i) => i).sort((a, b) => (lengths[a] as number) - (lengths[b] as number) || a - b);
  const out: ScoringBatch[] = [];
  let members: number[] = [];
  const flush = (): void => {
    if (members.length === 0) return;
    const sequences: Sequence[] = [];
    const asks: Ask[] = [];
    const placed = members.map((row) => {
      const layout = layouts[row] as Layout;
      const firstAsk = asks.length;
      for (const ask of layout.asks) asks.push({ ...ask, sequence: sequences.length });
      sequences.push(layout.sequence);
      return { row, layout, firstAsk };
    });
    const feeds = sequenceFeeds(sequences, architecture);
    out.push({ feeds: { ...feeds, ...askFeeds(asks, feeds.tokens!.shape[1] as number) }, rows: placed });
    members = [];
  };
  let asks = 0;
  for (const row of order) {
    const layout = layouts[row] as Layout;
    const width = lengths[row] as number;
    const fits =
      (members.length + 1) * width * adapters <= limits.tokens &&
      (asks + layout.asks.length) * architecture.vocabulary * adapters <= limits.logits;
    if (!fits) {
      flush();
      asks = 0;
    }
    members.push(row);
    asks += layout.asks.length;
  }
  flush();
  return out;
}

/** The limits that were given, or those that fit the memory that there is. */
function limitsFor(
  { budget, model }: CompiledGraphs,
  layout: AdapterLayout,
  rows: readonly EncodedRow[],
  adapters: number,
  limits: ScoringLimits | undefined,
): ScoringLimits {
  if (limits !== undefined || budget === undefined || rows.length === 0) return limits ?? DEFAULT_LIMITS;
  const layouts = rows.map(layoutOf);
  const longest = Math.max(...layouts.map(({ sequence }) => lengthOf(sequence)));
  const graph = budget.graph("forward", layout, () => membersGraph(model, layout));
  const sizes = (tokens: number) => {
    const share = Math.min(1, tokens / DEFAULT_LIMITS.tokens);
    const sequences = Math.max(1, Math.floor(tokens / longest / adapters));
    const asks = share * DEFAULT_LIMITS.logits;
    const most = layouts.reduce((sum, { asks }) => Math.max(sum, asks.length), 0);
    return { sequences, logits: Math.max(asks, most * adapters * model.architecture.vocabulary) };
  };
  const most = DEFAULT_LIMITS.tokens;
  const tokens = budget.tokens("scoring", layout, graph, { most, longest }, (tokens) => {
    const { sequences, logits } = sizes(tokens);
    const S = Math.ceil(logits / adapters / model.architecture.vocabulary);
    return { B: sequences, T: longest, S, M: adapters };
  });
  return { tokens, logits: sizes(tokens).logits };
}

/** -log p of a row's candidates, [candidates], from that of the batch's asked tokens. */
function candidateNlls({ asks, candidates }: Layout, nll: Float32Array, firstAsk: number): Float64Array {
  const totals = new Float64Array(candidates);
  asks.forEach(({ candidate }, k) => {
    totals[candidate] = (totals[candidate] as number) + (nll[firstAsk + k] as number);
  });
  return totals;
}

export interface ScoringOptions {
  readonly limits?: ScoringLimits;
  /** Called after each batch. @param rows of this batch */
  readonly onBatch?: (rows: number, done: number, of: number) => void;
}

/** What one row has under each mixture. */
interface ScoredRow {
  /** Its place among the rows. */
  readonly row: number;
  readonly layout: Layout;
  /** Nats: one list a mixture, one number a candidate. */
  readonly nlls: readonly Float64Array[];
}

/** Scores rows under each mixture, batch by batch: in an order of its own. */
async function* scoreRows(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  mixtures: readonly (readonly number[])[],
  rows: readonly EncodedRow[],
  meter: Meter,
  { limits, onBatch }: ScoringOptions,
): AsyncGenerator<ScoredRow> {
  const { adapters, sums } = neededAdapters(layout, members, mixtures.map(mixFactors));
  // One adapter alone, or the base, needs no logits outside its graph.
  const alone = sums.map((factors) => (factors.every((x) => x === 0 || x === 1) ? factors.indexOf(1) : undefined));
  const chosen = limitsFor(compiledGraphs, layout, rows, adapters.length, limits);
  const plan = batches(rows, compiledGraphs.model.architecture, chosen, adapters.length);
  const forward = await Forward.open(compiledGraphs, layout, adapters, meter);
  try {
    for (const [at, batch] of plan.entries()) {
      const nlls: Float32Array[] = [];
      if (alone.every((index) => index !== undefined)) {
        const each = await forward.nll(batch.feeds);
        for (const index of alone) nlls.push(each[index] as Float32Array);
      } else {
        const logits = await forward.logits(batch.feeds);
        const { targets } = batch.feeds as { targets: HostTensor };
        for (const factors of sums) nlls.push(await mixedNll(compiledGraphs, meter, logits, factors, targets));
        compiledGraphs.free(logits);
      }
      for (const { row, layout, firstAsk } of batch.rows) {
        yield { row, layout, nlls: nlls.map((nll) => candidateNlls(layout, nll, firstAsk)) };
      }
      onBatch?.(batch.rows.length, at + 1, plan.length);
    }
  } finally {
    forward.close();
  }
}

/**
 * Scores rows under each mixture.
 * @param mixtures one weight a member, or empty for the base model
 */
export async function scoreMixtures(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  mixtures: readonly (readonly number[])[],
  rows: readonly EncodedRow[],
  meter: Meter,
  options: ScoringOptions = {},
): Promise<Score[]> {
  const totals = mixtures.map(() => ({ nllSum: 0, tokens: 0, correct: 0, choiceRows: 0, examples: 0 }));
  const classes = choiceClasses(rows);
  const labels: number[] = [];
  const guesses: number[][] = mixtures.map(() => []);
  for await (const scored of scoreRows(compiledGraphs, layout, members, mixtures, rows, meter, options)) {
    const { answer, scored: tokens } = scored.layout;
    const own = classes[scored.row];
    if (own !== undefined) labels.push(own[answer]!);
    scored.nlls.forEach((candidates, m) => {
      const total = totals[m]!;
      total.nllSum += candidates[answer] as number;
      total.tokens += tokens;
      total.examples++;
      if (own === undefined) return;
      const chosen = likeliest(candidates);
      total.choiceRows++;
      if (chosen === answer) total.correct++;
      guesses[m]!.push(own[chosen]!);
    });
  }
  return totals.map((total, m) => ({
    ...total,
    ...(labels.length > 0 ? { macroF1: new Guesses(labels, guesses[m]!).macroF1() } : {}),
  }));
}

/** The candidate with the lowest -log p. Ties go to the earlier one, as an argmax over log-likelihoods has it. */
export function likeliest(nlls: Float64Array): number {
  return nlls.indexOf(Math.min(...nlls));
}

/**
 * -log p of each row's choices, nats, under one mixture; of a row without choices, of its completion alone.
 * @param weights one a member
 */
export async function choiceNlls(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  weights: readonly number[],
  rows: readonly EncodedRow[],
  meter: Meter,
  options: ScoringOptions = {},
): Promise<Float64Array[]> {
  const out: Float64Array[] = [];
  for await (const { row, nlls } of scoreRows(compiledGraphs, layout, members, [weights], rows, meter, options)) {
    out[row] = nlls[0] as Float64Array;
  }
  return out;
}

/** Logits of the rows' scored tokens for the base and every member, kept with the runtime batch by batch. */
export interface KeptLogits {
  /** [1 + M, S, V], the base's first. */
  readonly logits: ResidentTensor;
  readonly targets: HostTensor;
  /** Scored tokens of the batch. */
  readonly tokens: number;
}

/** Runs base and members once over rows (their own completions alone) and keeps the logits; the caller frees them. */
export async function keepLogits(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  rows: readonly EncodedRow[],
  meter: Meter,
  limits?: ScoringLimits,
): Promise<KeptLogits[]> {
  const adapters = [emptyAdapter(layout), ...members];
  const plain = rows.map(({ tokens, scored }) => ({ tokens, scored }));
  const chosen = limitsFor(compiledGraphs, layout, plain, adapters.length, limits);
  const plan = batches(plain, compiledGraphs.model.architecture, chosen, adapters.length);
  const forward = await Forward.open(compiledGraphs, layout, adapters, meter);
  const kept: KeptLogits[] = [];
  try {
    for (const { feeds } of plan) {
      const { targets } = feeds as { targets: HostTensor };
      kept.push({ logits: await forward.logits(feeds), targets, tokens: targets.shape[0] as number });
    }
  } finally {
    forward.close();
  }
  return kept;
}
