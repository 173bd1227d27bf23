/**
 * The forecast of a partition: loss, and where rows have choices accuracy and macro-F1, on held-out examples under the surrogate of
 * their client's group, without a forward pass. It knows nothing of the origin of the partition.
 *
 * An example counts as correct where the right answer beats its negatives: all its choice rows are above 0 after tuning. That is
 * exact where each negative has a row of its own. A row against several negatives together makes it a lower bound, since the right
 * answer may beat each of them with less than half of the probability. The prediction for a wrong example is the negative with the
 * largest lead; several negatives together are a wrong answer of unknown class. F1 is over the examples whose labels clients sent.
 *
 * Standard errors are those of a bootstrap that resamples each client's held-out examples: in closed form for means over examples, as
 * in partition-evaluator.ts, and by resampling for F1.
 */
import { Guesses } from "../../shared/base/macro-f1.js";
import { SeededRng } from "../../shared/base/random.js";
import { type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";
import { type EventLoopYield, eventLoopYield } from "../algebra/yield.js";
import { calibratedLosses, mean } from "./evaluate.js";
import { fitHeldOut } from "./held-out.js";
import { termStarts } from "./problem.js";
import { type SurrogateSolver, termLoss } from "./surrogate.js";

/** Resamples for the standard error of F1: its own relative error is then 1 / sqrt(2 x 400), 3.5 %. */
const RESAMPLES = 400;

export interface ForecastValue {
  readonly value: number;
  /** null where no client has two examples. */
  readonly standardError: number | null;
}

export interface Forecast {
  /** Nats per example, mean over the clients. */
  readonly loss: ForecastValue;
  /** Share of correct examples, mean over the clients with choices; absent where no client has any. */
  readonly accuracy?: ForecastValue | undefined;
  /** Mean over the clients that sent labels; absent where no client did. */
  readonly macroF1?: ForecastValue | undefined;
  /** In the order of the problem's clients; nulls in `accuracy` for clients without choices. */
  readonly clients: { readonly loss: readonly number[]; readonly accuracy: readonly (number | null)[] };
}

/** The forecast of one example. */
interface Prediction {
  readonly loss: number;
  /** undefined: the example has no choices. */
  readonly correct: boolean | undefined;
  /** Class of the right answer; -1: not sent. */
  readonly label: number;
  /** Predicted class; -1: unknown. */
  readonly predicted: number;
}

/** @param margins [rows] after tuning. @returns one per example */
export function predictions(
  rows: Pick<LogisticRows, "examples" | "example" | "term" | "labels">,
  margins: ArrayLike<number>,
): Prediction[] {
  const loss = new Float64Array(rows.examples);
  const correct = new Array<boolean | undefined>(rows.examples).fill(undefined);
  const terms = termStarts(rows);
  for (let t = 0; t + 1 < terms.length; t++)
    loss[rows.example[terms[t]!]!]! += termLoss(margins, terms[t]!, terms[t + 1]!);
  const least = new Float64Array(rows.examples).fill(Number.POSITIVE_INFINITY);
  const { answer, negative } = rows.labels ?? {};
  const predicted = answer?.slice();
  rows.example.forEach((e, r) => {
    if (rows.term[r] !== ROW_TERMS.choice) return;
    const leads = margins[r]! > 0;
    correct[e] = correct[e] !== false && leads;
    if (leads || margins[r]! >= least[e]!) return;
    least[e] = margins[r]!;
    if (predicted !== undefined) predicted[e] = negative![r]!;
  });
  return correct.map((answered, e) => ({
    loss: loss[e]!,
    correct: answered,
    label: answer?.[e] ?? -1,
    predicted: predicted?.[e] ?? -1,
  }));
}

/**
 * Solves the surrogates of the groups and evaluates every client under its group's.
 * @param partition every client in one group
 * @param seed of the resamples
 */
export async function forecastOf(
  solver: SurrogateSolver,
  partition: readonly (readonly number[])[],
  seed = 0,
): Promise<Forecast> {
  const { validation, folds } = solver.problem;
  const { weights } = await fitHeldOut(solver, partition);
  const client = Int32Array.from(partition.flat());
  const weight = Int32Array.from(partition.flatMap((group, c) => group.map(() => c)));
  const held: Prediction[][] = Array.from(client, () => []);
  for (let fold = 0; fold < weights.length; fold++) {
    const margins = await solver.rowMargins(weights[fold]!, { client, weight });
    margins.forEach((after, p) => {
      const of = folds?.of[client[p]!];
      held[p]!.push(
        ...predictions(validation[client[p]!]!, after).filter((_, e) => of === undefined || of[e] === fold),
      );
    });
  }
  const surrogates = held.map((examples) => Float64Array.from(examples, ({ loss }) => loss));
  const losses = calibratedLosses(solver.problem, { client, weight }, partition, surrogates);
  const correct = held.map((examples) =>
    Float64Array.from(examples.flatMap(({ correct }) => (correct === undefined ? [] : [Number(correct)]))),
  );
  const answers = correct.filter(({ length }) => length > 0);
  const labelled = held
    .map((examples) => examples.filter(({ label, correct }) => label >= 0 && correct !== undefined))
    .filter((examples) => examples.length > 0);
  return {
    loss: meanOverClients(losses),
    ...(answers.length > 0 && { accuracy: meanOverClients(answers) }),
    clients: {
      loss: inOrder(client, losses.map(mean)),
      accuracy: inOrder(
        client,
        correct.map((own) => (own.length > 0 ? mean(own) : null)),
      ),
    },
    ...(labelled.length > 0 && { macroF1: await meanF1(labelled, seed, eventLoopYield(solver.plan.signal)) }),
  };
}

/** @param client the client of each value */
function inOrder<T>(client: Int32Array, values: readonly T[]): T[] {
  const ordered = new Array<T>(values.length);
  client.forEach((i, p) => {
    ordered[i] = values[p]!;
  });
  return ordered;
}

/** @param held each client's examples with labels, at least one. @param seed of the resamples */
async function meanF1(
  held: readonly (readonly Prediction[])[],
  seed: number,
  yieldToEventLoop: EventLoopYield,
): Promise<ForecastValue> {
  const guesses = held.map(
    (examples) =>
      new Guesses(
        examples.map(({ label }) => label),
        examples.map(({ predicted }) => predicted),
      ),
  );
  const value = mean(Float64Array.from(guesses, (of) => of.macroF1()));
  if (held.every(({ length }) => length < 2)) return { value, standardError: null };
  const rng = new SeededRng(seed, "bootstrap of macro-F1");
  const drawn = new Float64Array(RESAMPLES);
  for (let r = 0; r < RESAMPLES; r++) {
    await yieldToEventLoop();
    drawn[r] = mean(
      Float64Array.from(guesses, (of, i) => {
        const { length } = held[i]!;
        return of.macroF1(Int32Array.from({ length }, () => rng.int(length)));
      }),
    );
  }
  const centre = mean(drawn);
  const squares = drawn.reduce((sum, x) => sum + (x - centre) ** 2, 0);
  return { value, standardError: Math.sqrt(squares / (RESAMPLES - 1)) };
}

/** @param values each client's examples, at least one */
function meanOverClients(values: readonly Float64Array[]): ForecastValue {
  let pooled = 0;
  let freedom = 0;
  const squares = values.map((examples) => {
    const centre = mean(examples);
    const sum = examples.reduce((all, x) => all + (x - centre) ** 2, 0);
    pooled += sum;
    freedom += examples.length - 1;
    return sum;
  });
  let variance = 0;
  values.forEach(({ length }, i) => {
    // The variance of a client with one example is unknown: the pooled variance of the others stands for it.
    variance += (length > 1 ? squares[i]! / (length - 1) : pooled / freedom) / length;
  });
  return {
    value: mean(Float64Array.from(values, mean)),
    standardError: freedom > 0 ? Math.sqrt(variance) / values.length : null,
  };
}
