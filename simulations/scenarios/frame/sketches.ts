/** The sketches that studies estimate from, of a plan's population, kept in a folder. Knows nothing of what is really tuned. */

import type { JobContext } from "../../../shared/base/command.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { readSketches, readSketchIndex } from "../../../shared/sketch/folder.js";
import type { ClientSketch } from "../../../shared/sketch/types.js";
import { sketchPopulation } from "../../population/gradients.js";

export interface KeptSketches {
  readonly sketches: readonly ClientSketch[];
  /** Operations that all of them took, those kept from before too. */
  readonly flops: number;
  /** How many clients' were there before. */
  readonly kept: number;
}

/**
 * Sketches the population, but for clients whose sketches are there.
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
