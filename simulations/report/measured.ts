/** Scores, intervals and paired gains of a report, from the sums that clients sent and the test rows that the simulation kept. */
import type { Example } from "../../client/data/types.js";
import type { TestRows } from "../../client/tasks/work.js";
import type { RowScore } from "../../client/tuning/scoring.js";
import { KindredError } from "../../shared/base/errors.js";
import type { Score } from "../../tasks/evaluate/message.js";
import { differenceOf, intervalOf, meanOf, type Resampled, resample } from "./intervals.js";
import {
  at,
  byClient,
  type Difference,
  type Gain,
  type Gains,
  type Interval,
  METHODS,
  type MethodName,
  type MethodResult,
  type TestScore,
} from "./types.js";

/** One client's test rows, as text and as scored by each method. */
export interface ScoredTestRows {
  readonly client: string;
  readonly rows: readonly Example[];
  /** Scored tokens of each row. */
  readonly tokens: readonly number[];
  /** [rows] by method. */
  readonly methods: ReadonlyMap<MethodName, readonly RowScore[]>;
}

/** A client's test scores by method, as it sent them. */
export type SentScores = ReadonlyMap<MethodName, ReadonlyMap<string, Score>>;

/** What a simulation kept of a client's test rows. */
export interface KeptTestRows {
  readonly adapters: TestRows | undefined;
  readonly full: TestRows | undefined;
}

/**
 * The kept rows by method; undefined where some are missing.
 * @param sent whose sums the rows must make up
 * @throws {KindredError} `internal` where they do not
 */
export function scoredTestRows(
  client: string,
  rows: readonly Example[],
  kept: KeptTestRows,
  sent: SentScores,
): ScoredTestRows | undefined {
  const methods = new Map<MethodName, readonly RowScore[]>();
  let adapters = 0;
  let tokens: readonly number[] | undefined;
  for (const [method, scores] of sent) {
    const from = method === "full" ? kept.full : kept.adapters;
    const scored = from?.mixtures[method === "full" ? 0 : adapters++];
    if (from === undefined || scored === undefined) return undefined;
    const total = scored.reduce((sum, { nll }) => sum + nll, 0);
    const expected = scores.get(client)?.nllSum ?? Number.NaN;
    if (scored.length !== rows.length || !(Math.abs(total - expected) <= 1e-9 * Math.max(1, Math.abs(expected)))) {
      const facts = { client, method };
      throw new KindredError(
        "internal",
        `test rows of ${client} under ${method} are not those it was scored by`,
        facts,
      );
    }
    methods.set(method, scored);
    tokens = from.tokens;
  }
  return tokens && { client, rows, tokens, methods };
}

export const choicesOf = (row: Example): readonly string[] | undefined =>
  row.kind === "answer" ? row.choices : undefined;

export const answerOf = (row: Example, { chosen }: RowScore): string | undefined => choicesOf(row)?.[chosen];

/** Scores of a row's classes, with answers of the same text as one class. */
function resampledBy({ client, rows, tokens, methods }: ScoredTestRows, seed: number): Map<MethodName, Resampled> {
  const classes = new Map<string, number>();
  const classOf = (answer: string | undefined): number => {
    if (answer === undefined) return -1;
    const known = classes.get(answer) ?? classes.size;
    classes.set(answer, known);
    return known;
  };
  const right = rows.map((row) => classOf(choicesOf(row) && row.kind === "answer" ? row.completion : undefined));
  const scored = [...methods.values()].map((scores) => ({
    nll: scores.map(({ nll }) => nll),
    answer: scores.map((score, r) => classOf(answerOf(rows[r]!, score))),
  }));
  const drawn = resample({ client, tokens, right, methods: scored }, seed) ?? [];
  return new Map([...methods.keys()].flatMap((method, m) => (drawn[m] === undefined ? [] : [[method, drawn[m]]])));
}

export interface Measured {
  readonly methods: Partial<Record<MethodName, MethodResult>>;
  readonly gains: Partial<Record<MethodName, Gains>> | undefined;
  /** Of Kindred's mean loss in the unit of the estimate: nats per row for clients with choices, else per token. */
  readonly answerLossInterval: Interval | undefined;
}

/**
 * @param clients in the report's order, and in groups
 * @param rows of the clients whose test rows were kept
 * @param seed of the resamples
 */
export function measuredScores(
  { clients, groups }: { readonly clients: readonly string[]; readonly groups: readonly (readonly string[])[] },
  sent: SentScores,
  rows: readonly ScoredTestRows[],
  seed: number,
): Measured {
  const drawn = new Map(rows.map((of) => [of.client, resampledBy(of, seed)]));
  const methods: Partial<Record<MethodName, MethodResult>> = {};
  for (const method of METHODS) {
    const scores = sent.get(method);
    if (scores === undefined) continue;
    const scored = (names: readonly string[]): ScoredClient[] =>
      names.map((name) => ({ name, score: scores.get(name)!, drawn: drawn.get(name)?.get(method) }));
    methods[method] = {
      clients: byClient(scored(clients).map(({ name, score, drawn }) => [name, testScore(score, drawn)])),
      mean: meanScore(scored(clients)),
      groups: groups.map((group) => meanScore(scored(group))),
    };
  }
  const gains: Partial<Record<MethodName, Gains>> = {};
  const { kindred } = methods;
  for (const [method, other] of Object.entries(methods) as [MethodName, MethodResult][])
    if (method !== "kindred" && kindred !== undefined) {
      const pairOf = (name: string): Pair => {
        const of = drawn.get(name);
        const [ours, theirs] = [at(kindred.clients, name)!, at(other.clients, name)!];
        return { ours, theirs, ...pairedDraws(of?.get("kindred"), of?.get(method)) };
      };
      gains[method] = {
        clients: byClient(clients.map((name) => [name, gainOf(pairOf(name))])),
        mean: gainOf(meanPair(kindred.mean, other.mean, clients.map(pairOf))),
        groups: groups.map((group, g) => gainOf(meanPair(kindred.groups![g]!, other.groups![g]!, group.map(pairOf)))),
      };
    }
  const answerLosses = meanDrawn(
    clients.map((name) => {
      const own = drawn.get(name)?.get("kindred");
      return (sent.get("kindred")?.get(name)?.choiceRows ?? 0) > 0 ? own?.rowLoss : own?.loss;
    }),
  );
  return {
    methods,
    gains: Object.keys(gains).length > 0 ? gains : undefined,
    answerLossInterval: answerLosses && intervalOf(answerLosses),
  };
}

/** A score as `kindred evaluate` defines it. */
function testScore(score: Score, drawn: Resampled | undefined): TestScore {
  const { nllSum, tokens, correct, choiceRows, macroF1 } = score;
  return {
    loss: nllSum / tokens,
    accuracy: choiceRows > 0 ? correct / choiceRows : null,
    ...(macroF1 === undefined ? {} : { macroF1 }),
    ...(drawn && intervalsOf(drawn.loss, drawn.accuracy, drawn.macroF1)),
  };
}

function intervalsOf(loss?: Float64Array, accuracy?: Float64Array, macroF1?: Float64Array) {
  return {
    ...(loss && { interval: intervalOf(loss) }),
    ...(accuracy && { accuracyInterval: intervalOf(accuracy) }),
    // A share, also where its resamples were moved beyond one.
    ...(macroF1 && { macroF1Interval: intervalOf(macroF1.map((x) => Math.min(1, Math.max(0, x)))) }),
  };
}

interface ScoredClient {
  readonly name: string;
  readonly score: Score;
  readonly drawn: Resampled | undefined;
}

/** Unweighted. */
function meanScore(clients: readonly ScoredClient[]): TestScore {
  const scores = clients.map(({ score }) => testScore(score, undefined));
  const answered = clients.filter(({ score }) => score.choiceRows > 0);
  const accuracies = scores.flatMap(({ accuracy }) => (accuracy === null ? [] : [accuracy]));
  const f1s = scores.flatMap(({ macroF1 }) => macroF1 ?? []);
  return {
    loss: mean(scores.map(({ loss }) => loss)),
    accuracy: accuracies.length > 0 ? mean(accuracies) : null,
    ...(f1s.length > 0 ? { macroF1: mean(f1s) } : {}),
    ...intervalsOf(
      meanDrawn(clients.map(({ drawn }) => drawn?.loss)),
      meanDrawn(answered.map(({ drawn }) => drawn?.accuracy)),
      meanDrawn(answered.map(({ drawn }) => drawn?.macroF1)),
    ),
  };
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** Undefined where a client is missing: the spread of its part is unknown. */
function meanDrawn(clients: readonly (Float64Array | undefined)[]): Float64Array | undefined {
  const known = clients.filter((one) => one !== undefined);
  return known.length === clients.length && known.length > 0 ? meanOf(known) : undefined;
}

/** Two methods' scores on the same rows, and the gain of the first in each resample. */
interface Pair {
  readonly ours: TestScore;
  readonly theirs: TestScore;
  readonly loss: Float64Array | undefined;
  readonly accuracy: Float64Array | undefined;
}

/** A lower loss is better, and a higher accuracy. */
const pairedDraws = (ours?: Resampled, theirs?: Resampled): Pick<Pair, "loss" | "accuracy"> => ({
  loss: ours && theirs && differenceOf(theirs.loss, ours.loss),
  accuracy: ours?.accuracy && theirs?.accuracy && differenceOf(ours.accuracy, theirs.accuracy),
});

const meanPair = (ours: TestScore, theirs: TestScore, pairs: readonly Pair[]): Pair => ({
  ours,
  theirs,
  loss: meanDrawn(pairs.map(({ loss }) => loss)),
  accuracy: meanDrawn(pairs.filter((pair) => pair.ours.accuracy !== null).map(({ accuracy }) => accuracy)),
});

const gainOf = ({ ours, theirs, loss, accuracy }: Pair): Gain => ({
  loss: difference(theirs.loss - ours.loss, loss && intervalOf(loss)),
  ...(ours.accuracy === null || theirs.accuracy === null
    ? {}
    : { accuracy: difference(ours.accuracy - theirs.accuracy, accuracy && intervalOf(accuracy)) }),
});

const difference = (value: number, interval: Interval | undefined): Difference => ({
  value,
  ...(interval && { interval }),
});
