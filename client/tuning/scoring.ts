/**
 * Losses and accuracies of rows under the base model, under adapters, and under mixtures of them: what `evaluate` reports and
 * what ensemble weights are fitted to.
 *
 * Loss: -log p of the scored tokens. Accuracy: of rows with choices, the share whose right choice has the highest total
 * log-likelihood.
 */
import type { HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import type { Score } from "../../shared/wire/tasks.js";
import type { EncodedRow } from "../data/types.js";
import type { Architecture } from "../models/architecture.js";
import { lengthOf, type Segment, type Sequence, text } from "../models/places.js";
import { type Ask, askFeeds, type Feeds, sequenceFeeds } from "./batches.js";
import type { AdapterLayout, AdapterValues } from "./lora.js";
import { Forward, mix, nllOf } from "./mixing.js";
import type { Meter, Programs } from "./programs.js";

/** A row laid out for scoring: sequences to run, tokens to ask of them, and which answer each belongs to. */
interface Layout {
  readonly sequences: readonly Sequence[];
  /** `candidate`: 0 is the row's own completion where it has no choices, else the choice's index. */
  readonly asks: readonly (Ask & { readonly candidate: number })[];
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
    const asks = Array.from(scored, (at) => ({
      sequence: 0,
      position: at - 1,
      target: tokens[at] as number,
      candidate: 0,
    }));
    const run = text(tokens.subarray(0, scored.at(-1)));
    return { sequences: [run], asks, candidates: 1, answer: 0, scored: scored.length };
  }
  interface Draft {
    readonly segments: Segment[];
    /** Where each beginning starts. */
    readonly begun: Map<string, number>;
    length: number;
  }
  // Choices of different lengths may leave room for different prompts.
  const drafts = new Map<number, Draft>();
  const asks: (Ask & { candidate: number })[] = [];
  choices.tokens.forEach((choice, candidate) => {
    const prompt = choices.prompts?.[candidate] ?? tokens.subarray(0, choices.promptLength);
    let draft = drafts.get(prompt.length);
    if (draft === undefined) {
      draft = { segments: [...text(prompt)], begun: new Map(), length: prompt.length };
      drafts.set(prompt.length, draft);
    }
    const sequence = [...drafts.keys()].indexOf(prompt.length);
    const beginning = choice.subarray(0, choice.length - 1);
    const key = beginning.join(",");
    let start = draft.begun.get(key);
    if (start === undefined) {
      start = draft.length;
      draft.begun.set(key, start);
      if (beginning.length > 0) draft.segments.push({ tokens: beginning, after: 0 });
      draft.length += beginning.length;
    }
    choice.forEach((target, k) => {
      const position = k === 0 ? prompt.length - 1 : (start as number) + k - 1;
      if (position >= 0) asks.push({ sequence, position, target, candidate });
    });
  });
  const sequences = [...drafts.values()].map(({ segments }) => segments);
  return { sequences, asks, candidates: choices.tokens.length, answer: choices.answer, scored: scored.length };
}

/** Bounds of one run of a graph, so that memory does not grow with the rows. */
export interface ScoringLimits {
  /** Tokens of a batch, padding included. */
  readonly tokens: number;
  /** Logits of a batch: asked tokens x vocabulary. */
  readonly logits: number;
}

const DEFAULT_LIMITS: ScoringLimits = { tokens: 2048, logits: 8_000_000 };

interface ScoringBatch {
  readonly feeds: Feeds;
  readonly rows: readonly { row: number; layout: Layout; firstAsk: number }[];
}

/** Batches of similar length: rows are taken in order of their longest sequence. */
function batches(rows: readonly EncodedRow[], architecture: Architecture, limits: ScoringLimits): ScoringBatch[] {
  const layouts = rows.map(layoutOf);
  const longest = layouts.map(({ sequences }) => Math.max(...sequences.map(lengthOf)));
  const order = rows.map((_, i) => i).sort((a, b) => (longest[a] as number) - (longest[b] as number) || a - b);
  const out: ScoringBatch[] = [];
  let members: number[] = [];
  const flush = (): void => {
    if (members.length === 0) return;
    const sequences: Sequence[] = [];
    const asks: Ask[] = [];
    const placed = members.map((row) => {
      const layout = layouts[row] as Layout;
      const firstAsk = asks.length;
      for (const ask of layout.asks) asks.push({ ...ask, sequence: ask.sequence + sequences.length });
      sequences.push(...layout.sequences);
      return { row, layout, firstAsk };
    });
    const feeds = sequenceFeeds(sequences, architecture);
    out.push({ feeds: { ...feeds, ...askFeeds(asks, feeds.tokens!.shape[1] as number) }, rows: placed });
    members = [];
  };
  let sequences = 0;
  let asks = 0;
  for (const row of order) {
    const layout = layouts[row] as Layout;
    const width = longest[row] as number;
    const fits =
      (sequences + layout.sequences.length) * width <= limits.tokens &&
      (asks + layout.asks.length) * architecture.vocabulary <= limits.logits;
    if (!fits) {
      flush();
      sequences = 0;
      asks = 0;
    }
    members.push(row);
    sequences += layout.sequences.length;
    asks += layout.asks.length;
  }
  flush();
  return out;
}

/** What one row has under one mixture. */
interface RowScore {
  /** Nats, over the row's scored tokens. */
  readonly nll: number;
  readonly right: boolean | undefined;
}

function rowScore(
  { asks, candidates, answer }: Layout,
  nll: Float32Array,
  firstAsk: number,
  hasChoices: boolean,
): RowScore {
  const totals = new Float64Array(candidates);
  asks.forEach(({ candidate }, k) => {
    totals[candidate] = (totals[candidate] as number) + (nll[firstAsk + k] as number);
  });
  const own = totals[answer] as number;
  // Ties go to the earlier choice, as an argmax over log-likelihoods has it.
  const right = hasChoices ? totals.every((total, c) => (c < answer ? total > own : total >= own)) : undefined;
  return { nll: own, right };
}

/**
 * Scores rows under each mixture.
 * @param mixtures one weight a member, or empty for the base model
 */
export async function scoreMixtures(
  programs: Programs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  mixtures: readonly (readonly number[])[],
  rows: readonly EncodedRow[],
  meter: Meter,
  {
    limits = DEFAULT_LIMITS,
    onBatch,
  }: { limits?: ScoringLimits; onBatch?: (rows: number, done: number, of: number) => void } = {},
): Promise<Score[]> {
  const forward = await Forward.open(programs, layout, members, meter);
  const totals = mixtures.map(() => ({ nllSum: 0, tokens: 0, correct: 0, choiceRows: 0, examples: 0 }));
  const plan = batches(rows, programs.model.architecture, limits);
  try {
    for (const [at, batch] of plan.entries()) {
      const nlls = await batchNll(programs, forward, members.length, mixtures, batch.feeds, meter);
      nlls.forEach((nll, m) => {
        const total = totals[m]!;
        for (const { row, layout, firstAsk } of batch.rows) {
          const score = rowScore(layout, nll, firstAsk, rows[row]!.choices !== undefined);
          total.nllSum += score.nll;
          total.tokens += layout.scored;
          total.examples++;
          if (score.right !== undefined) total.choiceRows++;
          if (score.right) total.correct++;
        }
      });
      onBatch?.(batch.rows.length, at + 1, plan.length);
    }
  } finally {
    forward.close();
  }
  return totals;
}

/** -log p of the asked tokens under each mixture. One adapter alone, or the base, needs no logits outside its graph. */
async function batchNll(
  programs: Programs,
  forward: Forward,
  members: number,
  mixtures: readonly (readonly number[])[],
  feeds: Feeds,
  meter: Meter,
): Promise<Float32Array[]> {
  const single = mixtures.map((weights) => {
    const used = weights.map((w, j) => ({ w, j })).filter(({ w }) => w !== 0);
    if (used.length === 0) return -1;
    return used.length === 1 && used[0]!.w === 1 ? used[0]!.j : undefined;
  });
  const direct = new Map<number, Float32Array>();
  for (const index of new Set(single)) if (index !== undefined) direct.set(index, await forward.nll(index, feeds));
  if (single.every((index) => index !== undefined)) return single.map((index) => direct.get(index as number)!);
  const base = await forward.logits(-1, feeds);
  const logits: ResidentTensor[] = [];
  for (let j = 0; j < members; j++) logits.push(await forward.logits(j, feeds));
  const out: Float32Array[] = [];
  for (const [m, weights] of mixtures.entries()) {
    const index = single[m];
    if (index !== undefined) {
      out.push(direct.get(index)!);
      continue;
    }
    const mixed = await mix(programs, meter, base, logits, weights);
    out.push(await nllOf(programs, meter, mixed, feeds.targets as HostTensor));
    programs.free(mixed);
  }
  programs.free(base, ...logits);
  return out;
}

/** Logits of the rows' scored tokens for the base and every member, kept with the runtime batch by batch. */
export interface KeptLogits {
  readonly base: ResidentTensor;
  readonly members: readonly ResidentTensor[];
  readonly targets: HostTensor;
  /** Scored tokens of the batch. */
  readonly tokens: number;
}

/** Runs base and members once over rows (their own completions alone) and keeps the logits; the caller frees them. */
export async function keepLogits(
  programs: Programs,
  layout: AdapterLayout,
  members: readonly AdapterValues[],
  rows: readonly EncodedRow[],
  meter: Meter,
  limits: ScoringLimits = DEFAULT_LIMITS,
): Promise<KeptLogits[]> {
  const forward = await Forward.open(programs, layout, members, meter);
  const plain = rows.map(({ tokens, scored }) => ({ tokens, scored }));
  const kept: KeptLogits[] = [];
  try {
    for (const { feeds } of batches(plain, programs.model.architecture, limits)) {
      const logits: ResidentTensor[] = [];
      for (let j = 0; j < members.length; j++) logits.push(await forward.logits(j, feeds));
      kept.push({
        base: await forward.logits(-1, feeds),
        members: logits,
        targets: feeds.targets as HostTensor,
        tokens: feeds.targets!.shape[0] as number,
      });
    }
  } finally {
    forward.close();
  }
  return kept;
}
