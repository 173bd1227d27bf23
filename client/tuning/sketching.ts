/** Margins and sketched per-example gradients of rows: the values that a client reveals for estimation. */
import { KindredError } from "../../shared/base/errors.js";
import type { Graph } from "../../shared/graph/graph.js";
import type { ResidentTensor } from "../../shared/runtimes/types.js";
import type { AnswerPrefix } from "../../shared/sketch/answer-prefixes.js";
import { type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";
import type { EncodedRow } from "../data/types.js";
import { type Adapter, type AdapterLayout, isFresh } from "./adapter.js";
import { batchesOf, type Comparison, marginFeeds } from "./batches.js";
import { choiceClasses } from "./classes.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { type SketchPlan, sketchGraph } from "./graphs.js";
import { comparisonsOf, negativeChoice } from "./negatives.js";

export interface SketchingPlan extends SketchPlan {
  /**
   * Largest number of an example's choice rows, beside its format row: one row against each of the strongest negatives, the last
   * row against all other negatives together. 0: one answer row over the full vocabulary.
   */
  readonly negatives: number;
  /** Sets of prefixes of clients' answers: format rows are against the prefixes that are not the example's own. @default none */
  readonly otherClientAnswers?: readonly (readonly AnswerPrefix[])[];
  /** Largest number of an example's format rows against such sets; drawn sets stand for all sets. @default all */
  readonly otherClientAnswersLimit?: number;
  /** Whether the rows' labels are given (`RowLabels`). @default false */
  readonly labels?: boolean;
  /** Tokens of a batch, padding included: memory grows with the examples of a batch. @default 1024, or fewer within the budget */
  readonly tokensPerBatch?: number;
}

export interface SketchingHooks {
  readonly meter: Meter;
  /** Called after each batch. @param done rows so far */
  readonly onBatch?: (done: number) => void;
}

/** Sketches rows, in their order. @throws {KindredError} `task_failed` where a margin or gradient is not finite */
export async function sketchRows(
  compiledGraphs: CompiledGraphs,
  { layout, values }: Adapter,
  rows: readonly EncodedRow[],
  plan: SketchingPlan,
  { meter, onBatch }: SketchingHooks,
): Promise<LogisticRows> {
  const { projections = 1, tokensPerBatch } = plan;
  const dim = plan.dim * projections;
  const { runtime, model } = compiledGraphs;
  const fresh = isFresh(layout, values);
  const upload = (data: Float32Array): Promise<ResidentTensor> => runtime.upload({ shape: [data.length], data });
  const trained = await upload(values.trained);
  const frozen = layout.frozenSize > 0 ? await upload(values.frozen) : undefined;

  const margins: SketchedMargin[] = [];
  const answer = new Int32Array(rows.length).fill(-1);
  const classes = choiceClasses(rows);
  let done = 0;
  try {
    const adapter = { trained, ...(frozen ? { frozen } : {}) };
    const comparisons = await comparisonsOf(compiledGraphs, { layout, feeds: adapter }, rows, plan, meter);
    for (const [form, chosen] of byForm(rows, comparisons)) {
      const name = `sketch-${plan.dim}x${projections}-${plan.seed}-${form}${fresh ? "-fresh" : ""}`;
      const compared = chosen[0]!.comparison;
      const build = (): Graph => sketchGraph(model, layout, plan, { compared, fresh });
      const most = tokensPerBatch ?? tokensThatFit(compiledGraphs, layout, chosen, name, build);
      for (const batch of batchesOf(chosen, ({ row }) => row.tokens.length, most)) {
        const program = await compiledGraphs.get(name, layout, build);
        const feeds = marginFeeds(
          batch.map(({ row }) => row),
          model.architecture,
          batch.flatMap(({ comparison }) => comparison ?? []),
        );
        const { tensors } = await meter.run(program, { ...feeds, ...adapter });
        const collect = (term: number, margin: string, sketch: string, { drawn = false, negative = -1 } = {}): void => {
          const h = tensors[margin]!.data as Float32Array;
          const g = tensors[sketch]!.data as Float32Array;
          if (!h.every(Number.isFinite) || !g.every(Number.isFinite)) {
            throw new KindredError(
              "task_failed",
              "a margin or its gradient is not finite at the adapter's start values; check the weights of the model",
            );
          }
          batch.forEach(({ row, example, comparison }, i) => {
            const more = drawn ? Math.log(comparison!.setsPerDraw) : 0;
            const choice = negative < 0 ? undefined : negativeChoice(row, comparison!, negative);
            margins.push({
              example,
              term,
              margin: h[i]! - more,
              sketch: g.subarray(i * dim, (i + 1) * dim),
              negative: choice === undefined ? -1 : classes[example]![choice]!,
            });
          });
        };
        const { otherClientAnswers, negatives } = compared ?? { otherClientAnswers: 0, negatives: 0 };
        collect(compared === undefined ? ROW_TERMS.answer : ROW_TERMS.format, "margin", "sketch");
        for (let r = 0; r < otherClientAnswers; r++)
          collect(ROW_TERMS.format, `format${r}Margin`, `format${r}Sketch`, { drawn: true });
        for (let r = 0; r < negatives; r++)
          collect(ROW_TERMS.choice, `choice${r}Margin`, `choice${r}Sketch`, { negative: r });
        if (negatives > 0)
          for (const { row, example } of batch) answer[example] = classes[example]![row.choices!.answer]!;
        done += batch.length;
        onBatch?.(done);
      }
    }
  } finally {
    compiledGraphs.free(trained, frozen);
  }
  return joined(margins, rows.length, dim, plan.labels ? answer : undefined);
}

interface ComparedRow {
  readonly row: EncodedRow;
  /** Index among all rows. */
  readonly example: number;
  readonly comparison: Comparison | undefined;
}

/** Rows by the form of their graph: the same numbers of negatives and of other clients' answers. Shorter rows come first. */
function byForm(
  rows: readonly EncodedRow[],
  comparisons: readonly (Comparison | undefined)[],
): Map<string, ComparedRow[]> {
  const forms = new Map<string, ComparedRow[]>();
  rows.forEach((row, example) => {
    const comparison = comparisons[example];
    const form = comparison === undefined ? "answer" : `${comparison.otherClientAnswers}-${comparison.negatives}`;
    const chosen = forms.get(form) ?? [];
    chosen.push({ row, example, comparison });
    forms.set(form, chosen);
  });
  for (const chosen of forms.values())
    chosen.sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.example - b.example);
  return forms;
}

/** One margin of an example. */
interface SketchedMargin {
  readonly example: number;
  readonly term: number;
  readonly margin: number;
  readonly sketch: Float32Array;
  /** Class of the choice that the margin is against; -1: no choice, or several choices. */
  readonly negative: number;
}

/** Margins in the order of examples, and of terms within an example. @param answer [examples] classes of right answers, where given */
function joined(
  found: readonly SketchedMargin[],
  examples: number,
  dim: number,
  answer: Int32Array | undefined,
): LogisticRows {
  const margins = found.toSorted((a, b) => a.example - b.example || a.term - b.term);
  const sketch = new Float32Array(margins.length * dim);
  margins.forEach((row, i) => {
    sketch.set(row.sketch, i * dim);
  });
  const labels = answer && { answer, negative: Int32Array.from(margins, ({ negative }) => negative) };
  return {
    dim,
    examples,
    margin: Float32Array.from(margins, ({ margin }) => margin),
    sketch,
    example: Int32Array.from(margins, ({ example }) => example),
    term: Uint8Array.from(margins, ({ term }) => term),
    ...(labels === undefined ? {} : { labels }),
  };
}

/** Tokens of a batch within the memory budget. @param rows in ascending order of length */
function tokensThatFit(
  { budget }: CompiledGraphs,
  layout: AdapterLayout,
  rows: readonly ComparedRow[],
  name: string,
  build: () => Graph,
): number {
  const most = 1024;
  if (budget === undefined) return most;
  const compared = rows.flatMap(({ comparison }) => comparison?.compared ?? []);
  const K = Math.max(1, ...compared.map(({ tokens }) => tokens.length));
  const encoded = rows.map(({ row }) => row);
  return budget.tokensOfRows(
    { purpose: "sketching", layout, graph: budget.graph(name, layout, build) },
    encoded,
    most,
    { K },
  );
}
