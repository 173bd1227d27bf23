/**
 * Adapters that cannot be of the run's model. A client that trains alone, before any training of several clients has shown the names and
 * shapes of an adapter, is the only one to say what its adapter is made of. The adapter becomes a member of every client's ensemble, so
 * that a wrong one would fail at all of them.
 */
import type { BlobRef, TunedSpec } from "../../shared/wire/types.js";
import { shapeError } from "./check.js";
import { mostCommon } from "./fold.js";
import { StoredTensors } from "./stored-tensors.js";
import type { TrainingParts } from "./training-job.js";

/**
 * Holds adapters against the names and shapes of the run; where no training has shown those, against those that most adapters have,
 * which are the run's from then on.
 * @returns those that differ, each with its reason
 */
export async function misfits<A extends { readonly values: BlobRef }>(
  { cohort, shapes }: Pick<TrainingParts, "cohort" | "shapes">,
  { kind }: TunedSpec,
  adapters: readonly A[],
): Promise<ReadonlyMap<A, string>> {
  const opened: StoredTensors[] = [];
  for (const { values } of adapters) opened.push(await StoredTensors.open(cohort.blobs, values));
  const wrong = new Map<A, string>();
  const right = shapes.get(kind) ?? mostCommon(opened.map((stored) => stored.shapes));
  if (right === undefined) return wrong;
  shapes.set(kind, right);
  for (const [at, adapter] of adapters.entries()) {
    const reason = shapeError((opened[at] as StoredTensors).shapes, right);
    if (reason !== undefined) wrong.set(adapter, reason);
  }
  return wrong;
}
