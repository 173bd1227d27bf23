/**
 * How clients would fare in the groups of a partition, by estimate: loss, and accuracy where rows have choices, on held-out
 * examples under their group's surrogate; no forward pass. It knows nothing of how the partition was found.
 *
 * An example is answered rightly where the right answer leads its rivals: all its choice rows are above 0 after tuning. That is
 * exact where each rival has a row; a row against several of them together makes it a lower bound, since the right answer may lead
 * each with less than half of the probability. F1 would need the labels, which clients do not send.
 *
 * Standard errors are those of a bootstrap that resamples each client's held-out examples, in closed form, as the judge's.
 */
import { type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";
import { fitHeldOut, mean } from "./evaluate.js";
import { termStarts } from "./problem.js";
import { type SurrogateSolver, termLoss } from "./surrogate.js";

export interface Estimate {
  readonly value: number;
  /** null where no client has two examples. */
  readonly standardError: number | null;
}

export interface Outlook {
  /** Nats an example, mean over the clients. */
  readonly loss: Estimate;
  /** Share answered rightly, mean over the clients that have choices; absent where none has. */
  readonly accuracy: Estimate | undefined;
}

/** What became of one example: its loss, and whether it is answered rightly where it has choices. */
interface Fate {
  readonly loss: number;
  readonly right: boolean | undefined;
}

/** @param margins [rows] after tuning. @returns one an example */
export function fates(rows: Pick<LogisticRows, "examples" | "example" | "term">, margins: ArrayLike<number>): Fate[] {
  const loss = new Float64Array(rows.examples);
  const right = new Array<boolean | undefined>(rows.examples).fill(undefined);
  const terms = termStarts(rows);
  for (let t = 0; t + 1 < terms.length; t++)
    loss[rows.example[terms[t]!]!]! += termLoss(margins, terms[t]!, terms[t + 1]!);
  rows.example.forEach((e, r) => {
    if (rows.term[r] === ROW_TERMS.choice) right[e] = right[e] !== false && margins[r]! > 0;
  });
  return right.map((answer, e) => ({ loss: loss[e]!, right: answer }));
}

/** Solves the groups' surrogates and looks at every client under its own. @param partition every client in one group */
export async function outlookOf(solver: SurrogateSolver, partition: readonly (readonly number[])[]): Promise<Outlook> {
  const { validation, folds } = solver.problem;
  const { weights } = await fitHeldOut(solver, partition);
  const client = Int32Array.from(partition.flat());
  const weight = Int32Array.from(partition.flatMap((group, c) => group.map(() => c)));
  const held: Fate[][] = Array.from(client, () => []);
  for (let fold = 0; fold < weights.length; fold++) {
    const margins = await solver.rowMargins(weights[fold]!, { client, weight });
    margins.forEach((after, p) => {
      const of = folds?.of[client[p]!];
      held[p]!.push(...fates(validation[client[p]!]!, after).filter((_, e) => of === undefined || of[e] === fold));
    });
  }
  const losses = held.map((examples) => Float64Array.from(examples, ({ loss }) => loss));
  const answers = held
    .map((examples) => examples.flatMap(({ right }) => (right === undefined ? [] : [Number(right)])))
    .filter((right) => right.length > 0)
    .map((right) => Float64Array.from(right));
  return { loss: meanOverClients(losses), accuracy: answers.length > 0 ? meanOverClients(answers) : undefined };
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
