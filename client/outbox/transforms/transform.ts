/**
 * A transform of releases of tensors: one step between a task's values and the bytes that leave. Compression is one; clipping,
 * noise and masks are others, and need no other place: a transform sees the kind, the tensors, their sensitivity and the task,
 * and may keep tensors from round to round.
 */
import type { NamedTensors } from "../../../shared/base/tensors.js";
import type { OutTensor } from "../../../shared/transforms/coded.js";
import type { TransformName } from "../../../shared/transforms/names.js";
import type { Transport } from "../../../tasks/kind.js";
import type { ReleaseKind, Sensitivity } from "../../../tasks/release.js";
import type { Memory } from "../memory.js";

/** Tensors on their way out. */
export interface TensorRelease {
  readonly kind: ReleaseKind;
  /** Floats until a transform codes them; a transform behind that one must take coded tensors. */
  readonly tensors: ReadonlyMap<string, OutTensor>;
  /** Of an update: what it started from, as far as the coordinator has it. */
  readonly start: NamedTensors;
  /** Holds for the tensors as they are now: clipping sets it, noise reads it. */
  readonly sensitivity: Sensitivity;
}

export interface TransformContext {
  readonly transport: Transport;
  /** What transforms of this client remember. */
  readonly memory: Memory;
}

export interface Transform {
  readonly name: TransformName;
  /** @throws {KindredError} `task_failed` where the tensors cannot be transformed */
  apply(release: TensorRelease, context: TransformContext): Promise<TensorRelease>;
}
