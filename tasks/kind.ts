/**
 * What a kind of task is, as both sides know it: its messages, their bounds, the blobs that they name, and what makes a result an
 * answer. What a client does for it is the kind's work.ts, which client/tasks/work.ts describes.
 */
import type { Field } from "../shared/wire/fields.js";
import type { BlobRef, TaskCost } from "../shared/wire/types.js";

export interface AnyTask {
  /** Name of the kind. */
  readonly kind: string;
}

export interface AnyResult extends AnyTask {
  readonly cost: TaskCost;
}

/** What a kind's own message holds: the name of the kind and the cost are fields of the envelope. */
export type TaskFields<T extends AnyTask> = Omit<T, "kind">;
export type ResultFields<R extends AnyResult> = Omit<R, "kind" | "cost">;

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
  /** Fields of the result that are tensors: blobs on the wire. */
  readonly tensors: readonly string[];
  /** Does the result answer this task? @throws {KindredError} `invalid_message` naming the field that does not fit */
  check(task: T, result: R): void;
}
