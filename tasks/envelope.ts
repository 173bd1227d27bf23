/**
 * Tasks and results between plain values and the messages that carry them: the kind's name, and the kind's own message as bytes.
 * Decoding checks every range that the kind's .proto file documents; what it returns needs no further check of its numbers.
 */
import { isDeepStrictEqual } from "node:util";
import { asKindredError, KindredError } from "../shared/base/errors.js";
import { type BodyType, bodyType } from "../shared/wire/body.js";
import { hash, refuse } from "../shared/wire/checks.js";
import { real, snakeCase, struct, uint64 } from "../shared/wire/fields.js";
import type { Task__Output, Task as TaskMessage } from "../shared/wire/gen/kindred/v1/Task.js";
import type { TaskResult__Output, TaskResult as TaskResultMessage } from "../shared/wire/gen/kindred/v1/TaskResult.js";
import { nextTaskBytes } from "../shared/wire/services.js";
import type { TaskCost } from "../shared/wire/types.js";
import type { TaskKind } from "./kind.js";
import { kindNamed, kindNames, kindOf, type TaskResult, type TaskSpec } from "./kinds.js";

const taskBody = ({ proto }: TaskKind): BodyType => bodyType(proto.file, proto.task);
const resultBody = ({ proto }: TaskKind): BodyType => bodyType(proto.file, proto.result);

export function encodeTask(taskId: string, task: TaskSpec): TaskMessage {
  const kind = kindOf(task);
  return { taskId, kind: kind.name, body: taskBody(kind).encode(kind.task.write(task)) };
}

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
  return { taskId, task: { kind: kind.name, ...fields } as TaskSpec };
}

const cost = struct<TaskCost>({ flops: real(0), computeSeconds: real(0), peakRssBytes: uint64() });

export function encodeResult(taskId: string, result: TaskResult): TaskResultMessage {
  const kind = kindOf(result);
  const body = resultBody(kind).encode(kind.result.write(result));
  return { taskId, cost: cost.write(result.cost) as NonNullable<TaskResultMessage["cost"]>, kind: kind.name, body };
}

/** @throws {KindredError} `invalid_message` naming the field */
export function decodeResult(message: TaskResult__Output): TaskResult {
  const kind = kindNamed(message.kind) ?? refuse("kind", `one of ${kindNames().join(", ")}`, message.kind);
  const fields = kind.result.read(snakeCase(kind.name), resultBody(kind).decode("body", message.body));
  const took = message.cost ? cost.read("cost", message.cost) : { flops: 0, computeSeconds: 0, peakRssBytes: 0 };
  return { kind: kind.name, ...fields, cost: took } as TaskResult;
}

/** Does the result answer this task? @throws {KindredError} `invalid_message` saying what does not fit */
export function checkAnswers(task: TaskSpec, result: TaskResult): void {
  if (task.kind !== result.kind) refuse("kind", `the task's, ${task.kind}`, result.kind);
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
    const { kind, body } = encodeTask("", task);
    arrived = decodeTask({ taskId: "0".repeat(64), kind: kind as string, body: body as Buffer }).task;
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
