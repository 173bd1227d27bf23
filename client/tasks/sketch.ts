/**
 * Sketches of one client's rows as a task asks for them: which rows, from which start, with which margins. Serves the runner of
 * tasks and `kindred gradients`. It knows nothing of where the sketches go.
 */
import { SeededRng } from "../../shared/base/random.js";
import type { SketchedSplits } from "../../shared/sketch/codec.js";
import type { TunedSpec } from "../../shared/wire/types.js";
import type { SketchGradients } from "../../tasks/sketch-gradients/message.js";
import type { EncodedDataset, EncodedRow, Split } from "../data/types.js";
import type { Adapter, AdapterLayout } from "../tuning/adapter.js";
import type { CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import { adapterLayout } from "../tuning/kinds.js";
import { sketchRows } from "../tuning/sketching.js";

/** The layout of an adapter without its seed: adapters that differ by it alone share their graphs. */
export function layoutOf({ model }: CompiledGraphs, { initSeed: _, ...settings }: TunedSpec): AdapterLayout {
  return adapterLayout(model, settings);
}

/** Rows of a split, or a sample of them drawn by seed, in their own order. @param limit 0: all rows */
export function sampledRows(dataset: EncodedDataset, split: Split, limit: number, seed: number): readonly EncodedRow[] {
  const rows = dataset[split];
  if (limit === 0 || rows.length <= limit) return rows;
  const chosen = new SeededRng(seed, "sample", split).permutation(rows.length).slice(0, limit).sort();
  return Array.from(chosen, (i) => rows[i] as EncodedRow);
}

/** Sketches training and validation rows. @param hooks `onShare` is called with the share of all rows that are done, 0 .. 1 */
export async function sketchDataset(
  compiledGraphs: CompiledGraphs,
  dataset: EncodedDataset,
  task: SketchGradients,
  adapter: Adapter,
  { meter, onShare }: { readonly meter: Meter; readonly onShare?: (share: number) => void },
): Promise<SketchedSplits> {
  const plan = {
    dim: task.dim,
    projections: task.projections,
    seed: task.seed,
    negatives: task.negatives,
    otherClientAnswers: task.otherClientAnswers,
    otherClientAnswersLimit: task.otherClientAnswersLimit,
  };
  const train = sampledRows(dataset, "train", task.examplesLimit, task.seed);
  const validation = sampledRows(dataset, "validation", task.examplesLimit, task.seed);
  const total = train.length + validation.length;
  const sketched = (rows: readonly EncodedRow[], before: number, labels: boolean) =>
    sketchRows(
      compiledGraphs,
      adapter,
      rows,
      { ...plan, labels },
      { meter, onBatch: (done) => onShare?.((before + done) / total) },
    );
  return {
    train: await sketched(train, 0, false),
    validation: await sketched(validation, train.length, task.labels),
  };
}
