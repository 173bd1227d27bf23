/** Trains an adapter on the client's training rows, and validates it where the task asks for that. */
import type { Work, WorkTools } from "../../client/tasks/work.js";
import { type AdapterLayout, type AdapterValues, adapterTensors } from "../../client/tuning/adapter.js";
import type { Member } from "../../client/tuning/mixing.js";
import { scoreMixtures } from "../../client/tuning/scoring.js";
import { shuffledBatches, trainAdapter } from "../../client/tuning/training.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { TrainAdapter, TrainAdapterResult, ValidationPoint } from "./message.js";

export const work: Work<TrainAdapter, TrainAdapterResult> = async (task, tools) => {
  const { training } = task;
  const layout = tools.layout(task.adapter);
  const rows = tools.rows("train");
  const start = await tools.adapter(layout, task.adapter, task.start);
  const offset = await offsetOf(task, layout, tools);
  const validation = new Validation(layout, offset, tools);
  if (task.validateStart) await validation.take(0, start);
  const { values, losses } = await trainAdapter(
    tools.compiledGraphs,
    { layout, values: start },
    shuffledBatches(rows, training.batch, training.seed),
    training,
    {
      meter: tools.meter,
      offset,
      every: task.validateEvery,
      onStep: (step) => tools.io.progress((step + 1 - training.firstStep) / (training.steps + 1)),
      onValues: (step, reached) => validation.take(step - training.firstStep, reached),
    },
  );
  const best = task.validateEvery > 0 ? validation.best : undefined;
  return {
    values: {
      tensors: updateOf(task, layout, best?.values ?? values),
      ...(task.start === undefined ? {} : { start: await tools.tensors(task.start) }),
    },
    losses,
    examples: rows.length,
    ...(best === undefined ? {} : { bestStep: best.step }),
    validation: validation.points,
  };
};

async function offsetOf(task: TrainAdapter, layout: AdapterLayout, tools: WorkTools): Promise<Member[]> {
  const offset: Member[] = [];
  for (const { adapter, weight } of task.offset) {
    offset.push({ values: await tools.adapter(layout, task.adapter, adapter), weight });
  }
  return offset;
}

/** What leaves: a client that gave no start has no A yet; afterwards it sends what training changes. */
function updateOf(task: TrainAdapter, layout: AdapterLayout, values: AdapterValues): NamedTensors {
  const tensors = adapterTensors(layout, values);
  if (task.start !== undefined) {
    for (const { name, part } of layout.tensors) if (part === "frozen") tensors.delete(name);
  }
  return tensors;
}

/** Validation losses of a training, and the values that have the smallest. */
class Validation {
  readonly points: ValidationPoint[] = [];
  best: { readonly step: number; readonly loss: number; readonly values: AdapterValues } | undefined;

  constructor(
    private readonly layout: AdapterLayout,
    private readonly offset: readonly Member[],
    private readonly tools: WorkTools,
  ) {}

  async take(step: number, values: AdapterValues): Promise<void> {
    const { compiledGraphs, meter } = this.tools;
    const members = [values, ...this.offset.map((member) => member.values)];
    const mixture = [1, ...this.offset.map(({ weight }) => weight)];
    const rows = this.tools.rows("validation");
    const [score] = await scoreMixtures(compiledGraphs, { layout: this.layout, members }, [mixture], rows, { meter });
    const { nllSum, tokens } = score!;
    this.points.push({ step, nllSum, tokens });
    const loss = nllSum / tokens;
    if (loss < (this.best?.loss ?? Number.POSITIVE_INFINITY)) this.best = { step, loss, values };
  }
}
