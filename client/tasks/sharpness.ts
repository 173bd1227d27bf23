/** `kindred sharpness`: how sharp the loss of a tuned model is around its adapter, on a file of rows. */
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import { openRuntime } from "../../shared/runtimes/choose.js";
import type { RuntimeChoice } from "../../shared/runtimes/types.js";
import { CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import { type Curvature, curvature, HessianProducts } from "../tuning/curvature.js";
import { budgetOf } from "../tuning/memory.js";
import { type InputFiles, openInputs } from "./inputs.js";

export interface SharpnessJob extends InputFiles {
  readonly adapter: string;
  /** Vectors of the trace's estimate. */
  readonly probes: number;
  readonly seed: number;
  readonly runtime: RuntimeChoice;
}

export async function sharpness(job: SharpnessJob, context: JobContext): Promise<Curvature> {
  const { base, rows, adapter } = await openInputs(job, context);
  if (adapter === undefined) throw new KindredError("internal", "sharpness without an adapter");
  const { layout, values } = adapter;
  const runtime = await openRuntime(job.runtime);
  const stage = context.progress.stage("products with the Hessian", 0);
  try {
    const hessian = new HessianProducts(
      new CompiledGraphs(runtime, base, budgetOf(job.runtime.memory, base, context.log, { trains: false })),
      { layout, values },
      rows,
      { meter: new Meter(context.signal) },
    );
    const measured = await curvature(hessian, layout.trainedSize, job, () => stage.tick());
    stage.done();
    return measured;
  } finally {
    stage.drop();
    await runtime.close();
  }
}
