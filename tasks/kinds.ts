/**
 * The table of task kinds: one line per folder of tasks/. A kind's messages are loaded with the table; its work is loaded when a
 * client does its first task of the kind, so that a coordinator never loads client code.
 */
import { KindredError } from "../shared/base/errors.js";
import type { BlobRef } from "../shared/wire/types.js";
import { evaluate } from "./evaluate/message.js";
import { fitWeights } from "./fit-weights/message.js";
import type { AnyResult, AnyTask, TaskKind, WithTensors } from "./kind.js";
import { listChoices } from "./list-choices/message.js";
import { receiveEnsemble } from "./receive-ensemble/message.js";
import { type ReleaseDeclaration, type ReleasedTensors, TENSOR_RELEASES } from "./release.js";
import { sketchGradients } from "./sketch-gradients/message.js";
import { trainAdapter } from "./train-adapter/message.js";

const TABLE = {
  sketchGradients: [sketchGradients, () => import("./sketch-gradients/work.js")],
  trainAdapter: [trainAdapter, () => import("./train-adapter/work.js")],
  evaluate: [evaluate, () => import("./evaluate/work.js")],
  fitWeights: [fitWeights, () => import("./fit-weights/work.js")],
  receiveEnsemble: [receiveEnsemble, () => import("./receive-ensemble/work.js")],
  listChoices: [listChoices, () => import("./list-choices/work.js")],
} as const;

type Table = typeof TABLE;
// From one place alone: a kind's other members name parts of its types, which would be inferred as well.
type TaskOf<K extends { check: unknown }> = K["check"] extends (task: infer T, result: never) => void ? T : never;
type ResultOf<K extends { check: unknown }> = K["check"] extends (task: never, result: infer R) => void ? R : never;

export type TaskName = keyof Table;
export type TaskSpec = { [K in TaskName]: TaskOf<Table[K][0]> }[TaskName];
/** A result as the coordinator holds it: tensors are blobs. */
export type TaskResult = { [K in TaskName]: ResultOf<Table[K][0]> }[TaskName];
/** A result as a client's work makes it: tensors are values still. */
export type UnsentResult = { [K in TaskName]: WithTensors<ResultOf<Table[K][0]>, ReleasedTensors> }[TaskName];
/** The result that a task of this type gets. */
export type ResultFor<T extends TaskSpec> = Extract<TaskResult, { kind: T["kind"] }>;

/** Loads what a client does for a kind. Its type is client/tasks/work.ts's `Work`, which this folder does not know. */
export type LoadWork = () => Promise<{ readonly work: unknown }>;

const kinds = new Map<string, readonly [TaskKind, LoadWork]>(
  Object.entries(TABLE as unknown as Record<string, readonly [TaskKind, LoadWork]>),
);

/**
 * Adds a kind of one's own, on both sides of a run, before the first task.
 * @throws {KindredError} `already_exists` where the name is taken
 */
export function defineTaskKind<T extends AnyTask, R extends AnyResult>(kind: TaskKind<T, R>, work: LoadWork): void {
  if (kinds.has(kind.name)) {
    throw new KindredError("already_exists", `task kind ${kind.name}: the name is taken; choose another name`, {
      kind: kind.name,
    });
  }
  kinds.set(kind.name, [kind as unknown as TaskKind, work]);
}

export const kindNames = (): string[] => [...kinds.keys()];

/** The kind of this name; `undefined` where there is no such kind. */
export const kindNamed = (name: string): TaskKind | undefined => kinds.get(name)?.[0];

/** The kind of a value that was checked. */
export function kindOf({ kind }: AnyTask): TaskKind {
  const known = kindNamed(kind);
  if (known === undefined) throw new KindredError("internal", `there is no task kind ${kind}`, { kind });
  return known;
}

/** Loads what a client does for a task of a known kind. */
export async function loadWork(task: AnyTask): Promise<unknown> {
  return (await kinds.get(kindOf(task).name)![1]()).work;
}

/** All blobs that a task names, each once, in order of appearance: what its client may download. */
export function blobsOfTask(task: TaskSpec): BlobRef[] {
  return distinct(kindOf(task).blobs(task));
}

/** All blobs that a result names, each once. */
export function blobsOfResult(result: TaskResult): BlobRef[] {
  const fields = result as unknown as Readonly<Record<string, BlobRef>>;
  return distinct(tensorFields(kindOf(result)).map(([field]) => fields[field] as BlobRef));
}

/** Fields of a kind's result that are tensors, with what they release. */
export function tensorFields({ releases }: TaskKind): [string, ReleaseDeclaration][] {
  return Object.entries<ReleaseDeclaration>(releases).filter(([, { kind }]) => TENSOR_RELEASES.includes(kind));
}

function distinct(refs: readonly BlobRef[]): BlobRef[] {
  return [...new Map(refs.map((ref) => [ref.sha256, ref])).values()];
}
