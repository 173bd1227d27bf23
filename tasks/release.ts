/**
 * What leaves a client, as typed values: every field of a result is a release of a declared kind and sensitivity. The outbox
 * turns releases into bytes; what comes between (compression, later clipping, noise, masks) sees nothing but this.
 */
import type { NamedTensors } from "../shared/base/tensors.js";

/**
 * - sketch: sketched gradients, row by row. Tensors.
 * - update: an adapter's values after local steps. Tensors.
 * - losses: mean training losses of steps.
 * - score: summed losses and counts over rows of a split.
 * - weights: a client's ensemble weights.
 * - answers: how the choices of rows begin.
 * - count: a number of rows or steps.
 */
export type ReleaseKind = "sketch" | "update" | "losses" | "score" | "weights" | "answers" | "count";

/** Kinds whose values are tensors: blobs on the wire. */
export const TENSOR_RELEASES: readonly ReleaseKind[] = ["sketch", "update"];

/** How far a release can move when one row of the client is replaced by another. */
export interface Sensitivity {
  /** Largest L2 norm of that move. Absent: no bound is known. Finite, at least 0. */
  readonly rowNorm?: number;
}

/** What a kind declares of a field of its result. */
export interface ReleaseDeclaration {
  readonly kind: ReleaseKind;
  readonly sensitivity: Sensitivity;
}

export const release = (kind: ReleaseKind, sensitivity: Sensitivity = {}): ReleaseDeclaration => ({
  kind,
  sensitivity,
});

/** Tensors that are to leave. */
export interface ReleasedTensors {
  readonly tensors: NamedTensors;
  /** Of an update: the tensors that it started from and that the coordinator has. Absent: the coordinator has none of them. */
  readonly start?: NamedTensors;
}
