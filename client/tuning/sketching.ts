/** Margins and sketched per-example gradients of rows: what a client reveals for estimation. */
import { KindredError } from "../../shared/base/errors.js";
import type { Graph } from "../../shared/graph/graph.js";
import type { ResidentTensor } from "../../shared/runtimes/types.js";
import type { AnswerPrefix } from "../../shared/sketch/answer-prefixes.js";
import { type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";
import type { EncodedRow } from "../data/types.js";
import { type AdapterLayout, type AdapterValues, isFresh } from "./adapter.js";
import { batchesOf, type Comparison, marginFeeds } from "./batches.js";
import { choiceClasses } from "./classes.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { type SketchPlan, sketchGraph } from "./graphs.js";
import { comparisonsOf, negativeChoice } from "./negatives.js";

export interface SketchingPlan extends SketchPlan {
  /**
   * Choice rows of an example at most, where its choices allow it: beside the format row, one against each of the strongest negatives
   * and the last against the rest together. 0: one answer row over the full vocabulary.
   */
  readonly negatives: number;
  /** How clients' answers begin, in sets: format rows against those that are not the example's own. @default none */
  readonly otherClientAnswers?: readonly (readonly AnswerPrefix[])[];
  /** Format rows of an example against such sets at most; drawn ones stand for all. @default all */
  readonly otherClientAnswersLimit?: number;
  /** Says which answers rows are about, as `RowLabels` has it. @default false */
  readonly labels?: boolean;
  /** Tokens of a batch, padding included; per-example gradients take memory by the example. @default 1024, or what fits */
  readonly tokensPerBatch?: number;
}

/** Sketches rows, in their order. @throws {KindredError} `task_failed` where a margin or gradient is not finite */
export async function sketchRows(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  values: AdapterValues,
  rows: readonly EncodedRow[],
  plan: SketchingPlan,
  meter: Meter,
  onBatch?: (done: number) => void,
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
    const comparisons = await comparisonsOf(compiledGraphs, layout, adapter, rows, plan, meter);
    const formOf = (of: Comparison | undefined): string =>
      of === undefined ? "answer" : `${of.otherClientAnswers}-${of.negatives}`;
    for (const form of new Set(comparisons.map(formOf))) {
      const chosen = rows
        .map((row, example) => ({ row, example, comparison: comparisons[example] }))
        .filter(({ comparison }) => formOf(comparison) === form)
        .sort((a, b) => a.row.tokens.length - b.row.tokens.length || a.example - b.example);
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
              "a margin or its gradient is not finite at the adapter's start values",
            );
          }
          batch.forEach(({ row, example, comparison }, i) => {
            const more = drawn ? Math.log(comparison!.standsFor) : 0;
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

/** One margin of an example. */
interface SketchedMargin {
  readonly example: number;
  readonly term: number;
  readonly margin: number;
  readonly sketch: Float32Array;
  /** Class of the choice that it is against; -1: none, or several. */
  readonly negative: number;
}

/** Margins in the examples' order, and in that of terms within each. @param answer [examples] right classes, where they are told */
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

/** Tokens of a batch where nothing was said. @param rows by length */
function tokensThatFit(
  { budget }: CompiledGraphs,
  layout: AdapterLayout,
  rows: readonly { readonly row: EncodedRow; readonly comparison: Comparison | undefined }[],
  name: string,
  build: () => Graph,
): number {
  const most = 1024;
  if (budget === undefined) return most;
  const places = rows.flatMap(({ comparison }) => comparison?.places ?? []);
  const K = Math.max(1, ...places.map(({ tokens }) => tokens.length));
  const encoded = rows.map(({ row }) => row);
  return budget.tokensOfRows("sketching", layout, budget.graph(name, layout, build), encoded, most, { K });
}
