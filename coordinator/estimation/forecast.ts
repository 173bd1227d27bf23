/**
 * How clients would fare in the groups of a partition, by estimate: loss, and where rows have choices accuracy and macro-F1, on
 * held-out examples under their group's surrogate; no forward pass. It knows nothing of how the partition was found.
 *
 * An example is answered rightly where the right answer leads its negatives: all its choice rows are above 0 after tuning. That is
 * exact where each negative has a row; a row against several of them together makes it a lower bound, since the right answer may lead
 * each with less than half of the probability. Otherwise the negative that leads by most is what it is taken for, which F1 counts;
 * several together are a wrong answer of no known class. F1 is over the examples whose labels clients sent.
 *
 * Standard errors are those of a bootstrap that resamples each client's held-out examples: in closed form, as the judge's, and of
 * F1, which is no mean over examples, by drawing.
 */
import { Guesses } from "../../shared/base/macro-f1.js";
import { SeededRng } from "../../shared/base/random.js";
import { type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";
import { type EventLoopYield, eventLoopYield } from "../algebra/yield.js";
import { atCalibratedLevel, mean } from "./evaluate.js";
import { fitHeldOut } from "./held-out.js";
import { termStarts } from "./problem.js";
import { type SurrogateSolver, termLoss } from "./surrogate.js";

/** Resamples of F1's standard error: they know it to 1 / sqrt(2 x 400), 3.5 %. */
const RESAMPLES = 400;

export interface Estimate {
  readonly value: number;
  /** null where no client has two examples. */
  readonly standardError: number | null;
}

export interface Forecast {
  /** Nats an example, mean over the clients. */
  readonly loss: Estimate;
  /** Share answered rightly, mean over the clients that have choices; absent where none has. */
  readonly accuracy?: Estimate | undefined;
  /** Mean over the clients that sent labels; absent where none did. */
  readonly macroF1?: Estimate | undefined;
}

/** What became of one example: its loss, and whether it is answered rightly where it has choices. */
interface Prediction {
  readonly loss: number;
  readonly right: boolean | undefined;
  /** Indices of the right answer and of what it is taken for (-1: not told). */
  readonly label: number;
  readonly guess: number;
}

/** @param margins [rows] after tuning. @returns one an example */
export function predictions(
  rows: Pick<LogisticRows, "examples" | "example" | "term" | "labels">,
  margins: ArrayLike<number>,
): Prediction[] {
  const loss = new Float64Array(rows.examples);
  const right = new Array<boolean | undefined>(rows.examples).fill(undefined);
  const terms = termStarts(rows);
  for (let t = 0; t + 1 < terms.length; t++)
    loss[rows.example[terms[t]!]!]! += termLoss(margins, terms[t]!, terms[t + 1]!);
  const least = new Float64Array(rows.examples).fill(Number.POSITIVE_INFINITY);
  const { answer, negative } = rows.labels ?? {};
  const guess = answer?.slice();
  rows.example.forEach((e, r) => {
    if (rows.term[r] !== ROW_TERMS.choice) return;
    const leads = margins[r]! > 0;
    right[e] = right[e] !== false && leads;
    if (leads || margins[r]! >= least[e]!) return;
    least[e] = margins[r]!;
    if (guess !== undefined) guess[e] = negative![r]!;
  });
  return right.map((answered, e) => ({
    loss: loss[e]!,
    right: answered,
    label: answer?.[e] ?? -1,
    guess: guess?.[e] ?? -1,
  }));
}

/**
 * Solves the groups' surrogates and looks at every client under its own.
 * @param partition every client in one group
 * @param seed draws the resamples
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
  const losses = atCalibratedLevel(solver.problem, { client, weight }, partition, surrogates);
  const answers = held
    .map((examples) => examples.flatMap(({ right }) => (right === undefined ? [] : [Number(right)])))
    .filter((right) => right.length > 0)
    .map((right) => Float64Array.from(right));
  const labelled = held
    .map((examples) => examples.filter(({ label, right }) => label >= 0 && right !== undefined))
    .filter((examples) => examples.length > 0);
  return {
    loss: meanOverClients(losses),
    ...(answers.length > 0 && { accuracy: meanOverClients(answers) }),
    ...(labelled.length > 0 && { macroF1: await meanF1(labelled, seed, eventLoopYield(solver.plan.signal)) }),
  };
}

/** @param held each client's examples with labels, at least one. @param seed draws the resamples */
async function meanF1(
  held: readonly (readonly Prediction[])[],
  seed: number,
  yieldToEventLoop: EventLoopYield,
): Promise<Estimate> {
  const told = held.map(
    (examples) =>
      new Guesses(
        examples.map(({ label }) => label),
        examples.map(({ guess }) => guess),
      ),
  );
  const value = mean(Float64Array.from(told, (guesses) => guesses.macroF1()));
  if (held.every(({ length }) => length < 2)) return { value, standardError: null };
  const rng = new SeededRng(seed, "bootstrap of macro-F1");
  const drawn = new Float64Array(RESAMPLES);
  for (let r = 0; r < RESAMPLES; r++) {
    await yieldToEventLoop();
    drawn[r] = mean(
      Float64Array.from(told, (guesses, i) => {
        const { length } = held[i]!;
        return guesses.macroF1(Int32Array.from({ length }, () => rng.int(length)));
      }),
    );
  }
  const centre = mean(drawn);
  const squares = drawn.reduce((sum, x) => sum + (x - centre) ** 2, 0);
  return { value, standardError: Math.sqrt(squares / (RESAMPLES - 1)) };
}

/** @param values each client's examples, at least one */
function meanOverClients(values: readonly Float64Array[]): Estimate {
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
    // A client with one example has no variance of its own: it takes the others'.
    variance += (length > 1 ? squares[i]! / (length - 1) : pooled / freedom) / length;
  });
  return {
    value: mean(Float64Array.from(values, mean)),
    standardError: freedom > 0 ? Math.sqrt(variance) / values.length : null,
  };
}
