/**
 * Losses and accuracies of rows under the base model, under adapters, and under mixtures of adapters. `evaluate` reports them,
 * `predict` chooses by them, and ensemble weights are fitted to them. All adapters that a batch needs run in one pass.
 *
 * Loss: -log p of the scored tokens. Accuracy: of the rows with choices, the share whose right choice has the highest total
 * log-likelihood. Macro-F1: of the same rows and choices; choices of the same tokens are one class.
 */
import { Guesses } from "../../shared/base/macro-f1.js";
import type { HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import type { Score } from "../../tasks/evaluate/message.js";
import type { EncodedRow } from "../data/types.js";
import type { Architecture } from "../models/architecture.js";
import { lengthOf, type Segment, type Sequence, singleText } from "../models/positions.js";
import { type AdapterLayout, type Adapters, emptyAdapter } from "./adapter.js";
import { type Feeds, inputSequence, type ScoredToken, scoredTokenFeeds, sequenceFeeds } from "./batches.js";
import { choiceClasses } from "./classes.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { notFinite } from "./finite.js";
import { Forward, membersGraph, mixedNll, mixFactors, neededAdapters } from "./mixing.js";

/** A row laid out for scoring: the sequence to run, the tokens to score, and the answer that each of them belongs to. */
interface RowLayout {
  readonly sequence: Sequence;
  /** `candidate`: 0 is the row's own completion where it has no choices, else the choice's index. */
  readonly asks: readonly (Omit<ScoredToken, "sequence"> & { readonly candidate: number })[];
  readonly candidates: number;
  readonly answer: number;
  readonly scored: number;
}

/**
 * Choices share the tokens that all of them have alike, and choices that differ in their last token alone share all tokens that are
 * run, because no token after the last one is scored. So a row's prompt is run once, not once per choice.
 */
function layoutOf(row: EncodedRow): RowLayout {
  const { choices, tokens, scored } = row;
  if (choices === undefined) {
    const asks = Array.from(scored, (at) => ({ position: at - 1, target: tokens[at] as number, candidate: 0 }));
    return { sequence: inputSequence(row), asks, candidates: 1, answer: 0, scored: scored.length };
  }
  const prompt = tokens.subarray(0, choices.promptLength);
  const segments: Segment[] = [...singleText(prompt)];
  /** Position of each choice up to its last scored token, by its tokens. */
  const begun = new Map<string, number>();
  let length = prompt.length;
  const asks: RowLayout["asks"][number][] = [];
  choices.tokens.forEach((choice, candidate) => {
    const scores = choices.scored[candidate]!;
    const beginning = choice.subarray(0, scores.at(-1));
    const key = beginning.join(",");
    let start = begun.get(key);
    if (start === undefined) {
      start = length;
      begun.set(key, start);
      if (beginning.length > 0) segments.push({ tokens: beginning, after: 0 });
      length += beginning.length;
    }
    for (const k of scores) {
      const position = k === 0 ? prompt.length - 1 : (start as number) + k - 1;
      asks.push({ position, target: choice[k]!, candidate });
    }
  });
  const { answer } = choices;
  return { sequence: segments, asks, candidates: choices.tokens.length, answer, scored: scored.length };
}

/** Bounds of one run of a graph: memory grows neither with the rows nor with the adapters. */
export interface ScoringLimits {
  /** Tokens of a batch, padding included, times adapters. */
  readonly tokens: number;
  /** Logits of a batch: scored tokens x vocabulary x adapters. */
  readonly logits: number;
}

const DEFAULT_LIMITS: ScoringLimits = { tokens: 2048, logits: 16_000_000 };

interface ScoringBatch {
  readonly feeds: Feeds;
  readonly rows: readonly { row: number; layout: RowLayout; firstAsk: number }[];
}

/** Batches of rows of similar length. @param adapters the number that run in one pass */
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
    const asks: ScoredToken[] = [];
    const placed = members.map((row) => {
      const layout = layouts[row] as RowLayout;
      const firstAsk = asks.length;
      for (const ask of layout.asks) asks.push({ ...ask, sequence: sequences.length });
      sequences.push(layout.sequence);
      return { row, layout, firstAsk };
    });
    const feeds = sequenceFeeds(sequences, architecture);
    out.push({ feeds: { ...feeds, ...scoredTokenFeeds(asks, feeds.tokens!.shape[1] as number) }, rows: placed });
    members = [];
  };
  let asks = 0;
  for (const row of order) {
    const layout = layouts[row] as RowLayout;
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

/** The given limits, or limits that fit the memory budget. */
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

/** -log p of a row's candidates, [candidates], from -log p of the batch's scored tokens. */
function candidateNlls({ asks, candidates }: RowLayout, nll: Float32Array, firstAsk: number): Float64Array {
  const totals = new Float64Array(candidates);
  asks.forEach(({ candidate }, k) => {
    totals[candidate] = (totals[candidate] as number) + (nll[firstAsk + k] as number);
  });
  return totals;
}

export interface ScoringOptions {
  readonly meter: Meter;
  readonly limits?: ScoringLimits | undefined;
  /** Called after each batch. @param rows number of the batch's rows. @param done batches so far. @param of all batches */
  readonly onBatch?: (rows: number, done: number, of: number) => void;
  /**
   * Names a row. Where it is given, a row whose loss is NaN or infinite is an error that begins with its name; otherwise such
   * losses are returned as they are.
   */
  readonly nameOf?: (row: number) => string;
}

/** The losses of one row under each mixture. */
interface ScoredRow {
  /** Its index among the rows. */
  readonly row: number;
  readonly layout: RowLayout;
  /** Nats: one list per mixture, one number per candidate. */
  readonly nlls: readonly Float64Array[];
}

/** Scores rows under each mixture, batch by batch, in ascending order of their lengths. @throws {KindredError} as `checkFinite` */
async function* scoreRows(
  compiledGraphs: CompiledGraphs,
  { layout, members }: Adapters,
  mixtures: readonly (readonly number[])[],
  rows: readonly EncodedRow[],
  { meter, limits, onBatch, nameOf }: ScoringOptions,
): AsyncGenerator<ScoredRow> {
  const { adapters, sums } = neededAdapters(layout, members, mixtures.map(mixFactors));
  // A mixture of one adapter, or the base alone, needs no logits outside its graph.
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
        const scored = { row, layout, nlls: nlls.map((nll) => candidateNlls(layout, nll, firstAsk)) };
        if (nameOf !== undefined) checkFinite(scored, nameOf);
        yield scored;
      }
      onBatch?.(batch.rows.length, at + 1, plan.length);
    }
  } finally {
    forward.close();
  }
}

/** @throws {KindredError} `task_failed` where a loss of the row is not finite under some mixture */
function checkFinite({ row, nlls }: ScoredRow, nameOf: (row: number) => string): void {
  for (const candidates of nlls) {
    const loss = candidates.find((nll) => !Number.isFinite(nll));
    if (loss !== undefined) throw notFinite(loss, nameOf(row));
  }
}

/** One row under one mixture. */
export interface RowScore {
  /** Nats, summed over the row's scored tokens. */
  readonly nll: number;
  /** Index of the most likely choice; -1 where the row has no choices. */
  readonly chosen: number;
}

export interface MixtureScoringOptions extends ScoringOptions {
  /** Called once per row, in ascending order of lengths. @param row its index. @param tokens scored. @param scores one per mixture */
  readonly onRow?: ((row: number, tokens: number, scores: readonly RowScore[]) => void) | undefined;
}

/**
 * Scores rows under each mixture.
 * @param mixtures of each mixture one weight per member, or no weight for the base model
 */
export async function scoreMixtures(
  compiledGraphs: CompiledGraphs,
  adapters: Adapters,
  mixtures: readonly (readonly number[])[],
  rows: readonly EncodedRow[],
  { onRow, ...options }: MixtureScoringOptions,
): Promise<Score[]> {
  const totals = mixtures.map(() => ({ nllSum: 0, tokens: 0, correct: 0, choiceRows: 0, examples: 0 }));
  const classes = choiceClasses(rows);
  const labels: number[] = [];
  const guesses: number[][] = mixtures.map(() => []);
  for await (const scored of scoreRows(compiledGraphs, adapters, mixtures, rows, options)) {
    const { answer, scored: tokens } = scored.layout;
    const own = classes[scored.row];
    if (own !== undefined) labels.push(own[answer]!);
    const ofRow = scored.nlls.map((candidates, m): RowScore => {
      const total = totals[m]!;
      const nll = candidates[answer] as number;
      total.nllSum += nll;
      total.tokens += tokens;
      total.examples++;
      if (own === undefined) return { nll, chosen: -1 };
      const chosen = likeliest(candidates);
      total.choiceRows++;
      if (chosen === answer) total.correct++;
      guesses[m]!.push(own[chosen]!);
      return { nll, chosen };
    });
    onRow?.(scored.row, tokens, ofRow);
  }
  return totals.map((total, m) => ({
    ...total,
    ...(labels.length > 0 ? { macroF1: new Guesses(labels, guesses[m]!).macroF1() } : {}),
  }));
}

/** The candidate with the lowest -log p. Of equal candidates, the first one, as in an argmax over log-likelihoods. */
export function likeliest(nlls: Float64Array): number {
  return nlls.indexOf(Math.min(...nlls));
}

/**
 * -log p of each row's choices under one mixture, nats; of its completion, where a row has no choices.
 * @param weights one per member
 */
export async function choiceNlls(
  compiledGraphs: CompiledGraphs,
  adapters: Adapters,
  weights: readonly number[],
  rows: readonly EncodedRow[],
  options: ScoringOptions,
): Promise<Float64Array[]> {
  const out: Float64Array[] = [];
  for await (const { row, nlls } of scoreRows(compiledGraphs, adapters, [weights], rows, options)) {
    out[row] = nlls[0] as Float64Array;
  }
  return out;
}

/** Logits of one batch's scored tokens under the base and every member, which stay with the runtime. */
export interface KeptLogits {
  /** [1 + M, S, V], the base model's first. */
  readonly logits: ResidentTensor;
  readonly targets: HostTensor;
  /** Scored tokens of the batch. */
  readonly tokens: number;
}

/** Runs base and members once over rows (their completions, not other choices) and keeps the logits. The caller frees them. */
export async function keepLogits(
  compiledGraphs: CompiledGraphs,
  { layout, members }: Adapters,
  rows: readonly EncodedRow[],
  { meter, limits, onBatch }: ScoringOptions,
): Promise<KeptLogits[]> {
  const adapters = [emptyAdapter(layout), ...members];
  const plain = rows.map(({ tokens, scored }) => ({ tokens, scored }));
  const chosen = limitsFor(compiledGraphs, layout, plain, adapters.length, limits);
  const plan = batches(plain, compiledGraphs.model.architecture, chosen, adapters.length);
  const forward = await Forward.open(compiledGraphs, layout, adapters, meter);
  const kept: KeptLogits[] = [];
  try {
    for (const [at, batch] of plan.entries()) {
      const { targets } = batch.feeds as { targets: HostTensor };
      kept.push({ logits: await forward.logits(batch.feeds), targets, tokens: targets.shape[0] as number });
      onBatch?.(batch.rows.length, at + 1, plan.length);
    }
  } finally {
    forward.close();
  }
  return kept;
}
