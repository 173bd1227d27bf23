/**
 * Tasks and results between plain values and the messages that carry them: the kind's name, and the kind's own message as bytes.
 * Decoding checks every range that the kind's .proto file documents; what it returns needs no further check of its numbers.
 */
import { isDeepStrictEqual } from "node:util";
import { asKindredError, KindredError } from "../shared/base/errors.js";
import { TRANSFORM_NAMES, type TransformName } from "../shared/transforms/names.js";
import { type BodyType, bodyType } from "../shared/wire/body.js";
import { hash, refuse } from "../shared/wire/checks.js";
import {
  choice,
  type Field,
  listOf,
  optional,
  real,
  refined,
  snakeCase,
  struct,
  text,
  uint32,
  uint64,
} from "../shared/wire/fields.js";
import type { Task__Output, Task as TaskMessage } from "../shared/wire/gen/kindred/v1/Task.js";
import type { TaskResult__Output, TaskResult as TaskResultMessage } from "../shared/wire/gen/kindred/v1/TaskResult.js";
import { MAX_NAME_LENGTH, MAX_TRANSFORMS } from "../shared/wire/limits.js";
import { arrivedTask as arrivedMessage, nextTaskBytes } from "../shared/wire/services.js";
import type { TaskCost } from "../shared/wire/types.js";
import type { AnyResult, AnyTask, ResultFields, TaskKind, Transport } from "./kind.js";
import { kindNamed, kindNames, kindOf, type TaskResult, type TaskSpec } from "./kinds.js";
import type { ReleaseDeclaration } from "./release.js";

const taskBody = ({ proto }: TaskKind): BodyType => bodyType(proto.file, proto.task);
const resultBody = ({ proto }: TaskKind): BodyType => bodyType(proto.file, proto.result);

const transform = choice(TRANSFORM_NAMES);
const transforms = (min: number): Field<readonly TransformName[]> => listOf(transform, min, MAX_TRANSFORMS);

const transport = refined(
  struct<Transport>({
    transforms: transforms(1),
    training: text(1, MAX_NAME_LENGTH),
    round: uint32(),
    after: optional(uint32()) as Field<number>,
  }),
  (name, { round, after = -1 }) => {
    if (after >= round) refuse(`${name}.after`, `below the round, ${round}`, after);
  },
);

const releasesUpdate = ({ releases }: TaskKind): boolean =>
  Object.values<ReleaseDeclaration>(releases).some(({ kind }) => kind === "update");

export function encodeTask(taskId: string, task: TaskSpec): TaskMessage {
  const kind = kindOf(task);
  const body = taskBody(kind).encode(kind.task.write(task));
  const asked = transportOf(task);
  if (asked === undefined) return { taskId, kind: kind.name, body };
  return { taskId, kind: kind.name, body, transport: transport.write(asked) as NonNullable<TaskMessage["transport"]> };
}

/** What a task asks for. */
export const transportOf = (task: AnyTask): Transport | undefined => task.transport;

/**
 * @throws {KindredError} `unsupported` for a kind that this client does not know, `invalid_message` naming the field
 */
export function decodeTask(message: Task__Output): { taskId: string; task: TaskSpec } {
  const taskId = hash("task_id", message.taskId);
  const kind = kindNamed(message.kind);
  if (kind === undefined) {
    const shown = JSON.stringify(message.kind.slice(0, 80));
    const text = `task kind ${shown}: this client does not know it; it knows ${kindNames().join(", ")}; update the client`;
    throw new KindredError("unsupported", text, { kind: message.kind.slice(0, 80) });
  }
  const fields = kind.task.read(snakeCase(kind.name), taskBody(kind).decode("body", message.body));
  if (!message.transport) return { taskId, task: { kind: kind.name, ...fields } as TaskSpec };
  if (!releasesUpdate(kind)) refuse("transport", `unset for tasks of kind ${kind.name}`, "a transport");
  const asked = transport.read("transport", message.transport);
  return { taskId, task: { kind: kind.name, ...fields, transport: asked } as TaskSpec };
}

/** A billion times what the largest training runs take. A run sums the costs of its tasks, and its report must hold the sum. */
const MAX_COST = 1e35;

const cost = refined(
  struct<TaskCost>({ flops: real(0), computeSeconds: real(0), peakRssBytes: uint64() }),
  (name, { flops, computeSeconds }) => {
    if (flops > MAX_COST) refuse(`${name}.flops`, `at most ${MAX_COST}`, flops);
    if (computeSeconds > MAX_COST) refuse(`${name}.compute_seconds`, `at most ${MAX_COST}`, computeSeconds);
  },
);

export function encodeResult(taskId: string, result: TaskResult): TaskResultMessage {
  const kind = kindOf(result);
  const body = resultBody(kind).encode(kind.result.write(result as unknown as ResultFields<AnyResult>));
  const took = cost.write(result.cost) as NonNullable<TaskResultMessage["cost"]>;
  const { transforms: applied = [] }: AnyResult = result;
  return { taskId, cost: took, kind: kind.name, body, transforms: [...applied] };
}

/** @throws {KindredError} `invalid_message` naming the field */
export function decodeResult(message: TaskResult__Output): TaskResult {
  const kind = kindNamed(message.kind) ?? refuse("kind", `one of ${kindNames().join(", ")}`, message.kind);
  const fields = kind.result.read(snakeCase(kind.name), resultBody(kind).decode("body", message.body));
  const took = message.cost ? cost.read("cost", message.cost) : { flops: 0, computeSeconds: 0, peakRssBytes: 0 };
  const applied = transforms(0).read("transforms", message.transforms);
  return {
    kind: kind.name,
    ...fields,
    cost: took,
    ...(applied.length > 0 ? { transforms: applied } : {}),
  } as TaskResult;
}

/** Does the result answer this task? @throws {KindredError} `invalid_message` saying what does not fit */
export function checkAnswers(task: TaskSpec, result: TaskResult): void {
  if (task.kind !== result.kind) refuse("kind", `the task's, ${task.kind}`, result.kind);
  const { transforms: applied = [] }: AnyResult = result;
  const asked = transportOf(task)?.transforms ?? [];
  const shown = (names: readonly string[]): string => (names.length > 0 ? names.join(", ") : "none");
  if (shown(applied) !== shown(asked)) refuse("transforms", `those of the task (${shown(asked)})`, shown(applied));
  kindOf(task).check(task, result);
}

/** Bytes that handing a task out takes on the wire. */
export function taskBytes(taskId: string, task: TaskSpec): number {
  return nextTaskBytes({ task: encodeTask(taskId, task) });
}

/**
 * Checks a task as its receiver will, so that a mistake shows where it is made.
 * @throws {KindredError} `invalid_option` naming the field
 */
export function checkTask(task: TaskSpec): void {
  let arrived: unknown;
  try {
    arrived = decodeTask(arrivedMessage(encodeTask("0".repeat(64), task))).task;
  } catch (error) {
    throw new KindredError("invalid_option", `task ${task.kind}: ${asKindredError(error).message}`, {}, error);
  }
  // Both through JSON, which knows no -0 and drops what is undefined.
  const plain = JSON.parse(JSON.stringify(task)) as Record<string, unknown>;
  const read = JSON.parse(JSON.stringify(arrived)) as Record<string, unknown>;
  if (!isDeepStrictEqual(read, plain)) {
    const fields = Object.keys(plain).filter((key) => !isDeepStrictEqual(plain[key], read[key]));
    const message = `task ${task.kind}: ${fields.join(", ")} cannot be sent exactly (a fraction or a sign where a count belongs?)`;
    throw new KindredError("invalid_option", message, { fields: fields.join(", ") });
  }
}
