/** One client trains alone: its whole schedule is one task. */
import { asKindredError } from "../../shared/base/errors.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { TrainAdapter, TrainingSpec } from "../../tasks/train-adapter/message.js";
import { eventLoopYield } from "../algebra/yield.js";
import { checkValues, freshStart, shapeError, specError } from "./check.js";
import { StoredTensors } from "./stored-tensors.js";
import {
  ask,
  lossOf,
  mean,
  nothing,
  schedule,
  type TrainedAdapter,
  type TrainingJob,
  type TrainingParts,
  trainingOf,
} from "./training-job.js";

/** One client: its whole schedule in one task, validated once a pass. */
export async function trainAlone(ctx: TrainingParts, job: TrainingJob): Promise<TrainedAdapter> {
  const [client] = job.clients as [string];
  const totalSteps = schedule(ctx, job).totalSteps[0] as number;
  const every = Math.max(1, Math.ceil(ctx.cohort.info(client).rows.train / ctx.plan.training.batch));
  const task: TrainAdapter = {
    kind: "trainAdapter",
    adapter: job.adapter,
    offset: job.offset ?? [],
    training: trainingOf(ctx, job, totalSteps, 0, totalSteps),
    validateEvery: every,
    validateStart: true,
  };
  const results = await ask(ctx, job, {
    key: `train/${job.name}`,
    clients: [client],
    taskOf: () => task,
    onShare: (share) => job.onProgress?.(share, {}),
  });
  const result = results.get(client);
  if (result === undefined) return nothing("step");
  // It may become a member of everyone's ensemble: what is wrong with it must stay its client's own fault.
  const reason = await soloError(ctx, job, client, result.values, task.training);
  if (reason !== undefined) {
    ctx.cohort.fault(client, job.stage, reason);
    return nothing("step");
  }
  const curve = result.validation.map(({ step, nllSum, tokens }) => {
    const recent = result.losses.slice(Math.max(0, step - every), step);
    return {
      step,
      ...(recent.length > 0 ? { trainLoss: mean(recent) } : {}),
      validationLoss: nllSum / tokens,
    };
  });
  const losses = result.validation.map(lossOf);
  return {
    values: result.values,
    validationLoss: Math.min(...losses),
    startLoss: losses[0] ?? Number.POSITIVE_INFINITY,
    unit: "step",
    curve,
  };
}

/** Why a client's own adapter cannot be used. */
async function soloError(
  ctx: TrainingParts,
  { adapter }: TrainingJob,
  client: string,
  ref: BlobRef,
  training: TrainingSpec,
): Promise<string | undefined> {
  try {
    const values = await StoredTensors.open(ctx.cohort.blobs, ref, { source: `adapter of ${client}` });
    const expected = ctx.shapes.get(adapter.kind) ?? values.shapes;
    const wrong = specError(values.shapes, adapter) ?? shapeError(values.shapes, expected);
    if (wrong !== undefined) return wrong;
    const found = await checkValues({
      values,
      start: freshStart(values.shapes, adapter),
      steps: adapter.kind === "full" ? undefined : training,
      yieldToEventLoop: eventLoopYield(ctx.signal),
    });
    return "reason" in found ? found.reason : undefined;
  } catch (error) {
    const { code, message } = asKindredError(error);
    if (code !== "invalid_message" && code !== "invalid_adapter") throw error;
    return message;
  }
}
