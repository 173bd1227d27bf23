/** `kindred evaluate`: loss, accuracy and macro-F1 of a model, with an adapter or without, on a file of rows. */
import type { JobContext } from "../../shared/base/command.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import { smallestLayout } from "../tuning/kinds.js";
import { budgetOf } from "../tuning/memory.js";
import { scoreMixtures } from "../tuning/scoring.js";
import { type InputFiles, openInputs } from "./inputs.js";

export interface EvaluateJob extends InputFiles {
  readonly runtime: RuntimeChoice;
}

export interface Evaluation {
  readonly examples: number;
  /** Scored tokens. */
  readonly tokens: number;
  /** Mean negative log-likelihood a scored token, nats. */
  readonly loss: number;
  /** Share of rows with choices whose right choice is the likeliest; null where no row has choices. */
  readonly accuracy: number | null;
  /** Of these rows: mean F1 of the answers that are right or chosen in some of them; null where no row has choices. */
  readonly macroF1: number | null;
}

/** @throws {KindredError} `task_failed` where a row's logits are not finite; what reading a model, rows or an adapter throws */
export async function evaluateFile(job: EvaluateJob, context: JobContext): Promise<Evaluation> {
  const { progress, signal } = context;
  const { base, rows, names, adapter } = await openInputs(job, context);
  const layout = adapter?.layout ?? smallestLayout(base.architecture);
  const runtime = await openRuntime(job.runtime);
  const stage = progress.stage("evaluate", rows.length);
  try {
    const members = adapter === undefined ? [] : [adapter.values];
    const [score] = await scoreMixtures(
      new CompiledGraphs(runtime, base, budgetOf(job.runtime.memory, base, context.log, { trains: false })),
      { layout, members },
      [members.map(() => 1)],
      rows,
      { meter: new Meter(signal), onBatch: (count) => stage.tick(count), nameOf: (row) => names[row]! },
    );
    const { nllSum, tokens, correct, choiceRows, macroF1 } = score!;
    stage.done();
    return {
      examples: rows.length,
      tokens,
      loss: nllSum / tokens,
      accuracy: choiceRows > 0 ? correct / choiceRows : null,
      macroF1: macroF1 ?? null,
    };
  } finally {
    stage.drop();
    await runtime.close();
  }
}
