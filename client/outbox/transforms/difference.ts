/** Differences of an update to its start: small numbers, which few bits hold well. */
import { KindredError } from "../../../shared/base/errors.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";
import { isCoded, type OutTensor } from "../../../shared/transforms/coded.js";
import type { TensorRelease } from "./transform.js";

/**
 * Codes the difference of each tensor that has a start; the coordinator lacks the starts of the others, which pass as they are.
 * @param carried added to the differences, by name
 * @param code makes the tensor that leaves
 * @throws {KindredError} `task_failed` for a number that is not finite
 */
export function codeDifferences(
  release: TensorRelease,
  carried: NamedTensors,
  code: (name: string, difference: FloatTensor) => OutTensor,
): TensorRelease {
  const tensors = new Map<string, OutTensor>();
  for (const [name, tensor] of release.tensors) {
    if (isCoded(tensor))
      throw new KindredError("internal", `tensor ${name} is coded already; one compression is enough`);
    mustBeFinite(name, tensor.data);
    const start = release.start.get(name);
    tensors.set(
      name,
      start === undefined ? tensor : code(name, difference(tensor, start.data, carried.get(name)?.data)),
    );
  }
  return { ...release, tensors };
}

function difference({ shape, data }: FloatTensor, start: Float32Array, carried?: Float32Array): FloatTensor {
  if (carried !== undefined && carried.length !== data.length)
    throw new KindredError("internal", "carried errors of another shape");
  return { shape, data: data.map((value, i) => value - (start[i] as number) + (carried?.[i] ?? 0)) };
}

function mustBeFinite(name: string, data: Float32Array): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at < 0) return;
  const message = `the update cannot be compressed: tensor ${name} holds ${data[at]} at element ${at}; expected finite numbers; lower the learning rate`;
  throw new KindredError("task_failed", message, { tensor: name, element: at });
}
