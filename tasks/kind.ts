/**
 * What a kind of task is, as both sides know it: its messages, their bounds, the blobs that they name, and what makes a result an
 * answer. What a client does for it is the kind's work.ts, which client/tasks/work.ts describes.
 */
import type { TransformName } from "../shared/transforms/names.js";
import type { Field } from "../shared/wire/fields.js";
import type { BlobRef, TaskCost } from "../shared/wire/types.js";
import type { ReleaseDeclaration } from "./release.js";

export interface AnyTask {
  /** Name of the kind. */
  readonly kind: string;
  /** How the result's update is to come. Absent: its values as they are, F32. For kinds that release an update. */
  readonly transport?: Transport;
}

/** What is done to an update before it leaves. */
export interface Transport {
  /** In the order of their application, at least one. */
  readonly transforms: readonly TransformName[];
  /** Names the training: transforms may remember something from round to round of one. */
  readonly training: string;
  readonly round: number;
  /** The last round before this one whose update of this client was taken with transforms. Absent: there is none. */
  readonly after?: number;
}

export interface AnyResult extends AnyTask {
  readonly cost: TaskCost;
  /** Transforms that were applied to the update, in order; as the task asked. Absent: none. */
  readonly transforms?: readonly TransformName[];
}

/** What a kind's own message holds; the other fields are those of the envelope. */
export type TaskFields<T extends AnyTask> = Omit<T, "kind" | "transport">;
export type ResultFields<R extends AnyResult> = Omit<R, "kind" | "cost" | "transforms">;

/** What a result's fields are before its tensors are blobs. */
export type WithTensors<R, Tensors> = { readonly [K in keyof R]: R[K] extends BlobRef ? Tensors : R[K] };

/** One kind. `T` is its task and `R` its result, as plain values. */
export interface TaskKind<T extends AnyTask = AnyTask, R extends AnyResult = AnyResult> {
  readonly name: T["kind"];
  readonly proto: {
    /** Path of the .proto file. */
    readonly file: string;
    /** Full names of the task's and of the result's message: "kindred.v1.Evaluate". */
    readonly task: string;
    readonly result: string;
  };
  readonly task: Field<TaskFields<T>>;
  readonly result: Field<ResultFields<R>>;
  /** Blobs that the task names, in order of appearance: what its client may download. */
  blobs(task: T): readonly BlobRef[];
  /** What each field of the result releases. Fields that are blobs on the wire are releases of tensors. */
  readonly releases: { readonly [K in keyof ResultFields<R>]-?: ReleaseDeclaration };
  /** Does the result answer this task? @throws {KindredError} `invalid_message` naming the field that does not fit */
  check(task: T, result: R): void;
}
