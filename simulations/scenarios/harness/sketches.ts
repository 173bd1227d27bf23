/** The sketches of a plan's population, kept in a folder for studies. It knows nothing of real tuning. */

import type { JobContext } from "../../../shared/base/command.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { readSketches, readSketchIndex } from "../../../shared/sketch/folder.js";
import type { ClientSketch } from "../../../shared/sketch/types.js";
import { sketchPopulation } from "../../population/gradients.js";

export interface KeptSketches {
  readonly sketches: readonly ClientSketch[];
  /** Operations of all sketches, also of those from an earlier run. */
  readonly flops: number;
  /** Number of clients sketched in an earlier run. */
  readonly kept: number;
}

/**
 * Sketches the clients of the population that have no sketch yet.
 * @param force replaces sketches of another configuration
 */
export async function sketchesOf(
  plan: SimulationPlan,
  { folder, force }: { readonly folder: string; readonly force: boolean },
  context: JobContext,
): Promise<KeptSketches> {
  const { flops, kept } = await sketchPopulation(plan, { out: folder, force }, context);
  return { sketches: await readSketches(folder, await readSketchIndex(folder)), flops, kept };
}
