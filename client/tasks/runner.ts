/**
 * Does a client's tasks on its own rows: decodes what the task names, computes, and gives back what leaves the client. The
 * rows themselves never leave this folder's callers.
 */
import { encodeSafetensors, parseSafetensors } from "../../shared/adapters/safetensors.js";
import { KindredError } from "../../shared/base/errors.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import type { AnswerPrefix } from "../../shared/sketch/answer-prefixes.js";
import { encodeSketches } from "../../shared/sketch/codec.js";
import type {
  AdapterSpec,
  BlobRef,
  Evaluate,
  FitWeights,
  ReceiveEnsemble,
  SketchGradients,
  TaskCost,
  TaskResultWithBlobs,
  TaskSpec,
  TrainAdapter,
  TunedSpec,
  ValidationPoint,
} from "../../shared/wire/tasks.js";
import type { EncodedDataset, EncodedRow, Split } from "../data/types.js";
import type { TaskIo, TaskRunner } from "../session/session.js";
import {
  type AdapterLayout,
  type AdapterValues,
  adapterFromTensors,
  adapterTensors,
  initialAdapter,
} from "../tuning/adapter.js";
import { type CompiledGraphs, Meter } from "../tuning/compiled-graphs.js";
import { fitEnsembleWeights } from "../tuning/ensemble-weights.js";
import type { Member } from "../tuning/mixing.js";
import { answerPrefixesOf } from "../tuning/negatives.js";
import { scoreMixtures } from "../tuning/scoring.js";
import { shuffledBatches, trainAdapter } from "../tuning/training.js";
import { layoutOf, sampledRows, sketchDataset } from "./sketch.js";

/** What a client is given at the end: its members and their weights. */
export interface ReceivedEnsemble {
  readonly adapter: AdapterSpec;
  readonly members: readonly {
    readonly name: string;
    readonly weight: number;
    readonly tensors: ReturnType<typeof adapterTensors>;
  }[];
}

export interface ClientWorkOptions {
  readonly compiledGraphs: CompiledGraphs;
  /** The client's rows as tokens; called once, when the first task needs them. */
  readonly dataset: () => EncodedDataset;
  /** Keeps the ensemble that the coordinator returns; it is dropped unless given. */
  readonly onEnsemble?: (ensemble: ReceivedEnsemble) => Promise<void>;
  /** Tasks may train all weights: in a simulation, whose rows are nobody's. @default false */
  readonly full?: boolean;
}

export class ClientWork implements TaskRunner {
  private data: EncodedDataset | undefined;

  constructor(private readonly options: ClientWorkOptions) {}

  async run(task: TaskSpec, io: TaskIo): Promise<TaskResultWithBlobs> {
    const meter = new Meter(io.signal);
    const layout = this.layout(task.adapter);
    const cost = (): TaskCost => ({
      flops: meter.flops,
      computeSeconds: meter.computeSeconds,
      peakRssBytes: peakRssBytes(),
    });
    switch (task.kind) {
      case "sketchGradients":
        return { kind: task.kind, ...(await this.sketch(task, layout, meter, io)), cost: cost() };
      case "listChoices":
        return { kind: task.kind, answerPrefixes: this.answerPrefixes(), cost: cost() };
      case "trainAdapter":
        return { kind: task.kind, ...(await this.train(task, layout, meter, io)), cost: cost() };
      case "evaluate":
        return { kind: task.kind, ...(await this.evaluate(task, layout, meter, io)), cost: cost() };
      case "fitWeights":
        return { kind: task.kind, ...(await this.fit(task, layout, meter, io)), cost: cost() };
      case "receiveEnsemble":
        await this.receive(task, layout, io);
        return { kind: task.kind, cost: cost() };
    }
  }

  private dataset(): EncodedDataset {
    this.data ??= this.options.dataset();
    return this.data;
  }

  private rows(split: Split, limit = 0): readonly EncodedRow[] {
    return sampledRows(this.dataset(), split, limit, 0);
  }

  private layout(spec: TunedSpec): AdapterLayout {
    if (spec.kind === "full" && !this.options.full) {
      // The embedding changes in the rows of a client's own tokens alone: they would tell its words.
      throw new KindredError(
        "unsupported",
        "this client trains adapters; all weights are trained in simulations alone",
      );
    }
    return layoutOf(this.options.compiledGraphs, spec);
  }

  private async adapter(
    layout: AdapterLayout,
    spec: TunedSpec,
    ref: BlobRef | undefined,
    io: TaskIo,
  ): Promise<AdapterValues> {
    const fresh = initialAdapter(layout, spec.initSeed);
    if (ref === undefined) return fresh;
    const { tensors } = parseSafetensors(await io.download(ref), { source: `adapter ${ref.sha256.slice(0, 12)}` });
    return adapterFromTensors(layout, tensors, `adapter ${ref.sha256.slice(0, 12)}`, fresh);
  }

  private async adapters(
    layout: AdapterLayout,
    spec: TunedSpec,
    refs: readonly BlobRef[],
    io: TaskIo,
  ): Promise<AdapterValues[]> {
    const values: AdapterValues[] = [];
    for (const ref of refs) values.push(await this.adapter(layout, spec, ref, io));
    return values;
  }

  private async sketch(task: SketchGradients, layout: AdapterLayout, meter: Meter, io: TaskIo) {
    const start = await this.adapter(layout, task.adapter, task.start, io);
    const dataset = this.dataset();
    const { compiledGraphs } = this.options;
    const sketched = await sketchDataset(compiledGraphs, dataset, task, { layout, start }, meter, (share) =>
      io.progress(share),
    );
    return { rows: encodeSketches(sketched), trainExamples: dataset.train.length };
  }

  /** Of training and validation rows. */
  private answerPrefixes(): AnswerPrefix[] {
    return answerPrefixesOf([...this.rows("train"), ...this.rows("validation")]);
  }

  private async train(task: TrainAdapter, layout: AdapterLayout, meter: Meter, io: TaskIo) {
    const { compiledGraphs } = this.options;
    const { training } = task;
    const rows = this.rows("train");
    const start = await this.adapter(layout, task.adapter, task.start, io);
    const offset: Member[] = [];
    for (const { adapter, weight } of task.offset) {
      offset.push({ values: await this.adapter(layout, task.adapter, adapter, io), weight });
    }
    const validation: ValidationPoint[] = [];
    let best = { step: -1, loss: Number.POSITIVE_INFINITY, values: start };
    const validate = async (step: number, values: AdapterValues): Promise<void> => {
      const members = [values, ...offset.map((member) => member.values)];
      const mixture = [1, ...offset.map((member) => member.weight)];
      const [score] = await scoreMixtures(compiledGraphs, layout, members, [mixture], this.rows("validation"), meter);
      const { nllSum, tokens } = score!;
      validation.push({ step, nllSum, tokens });
      if (nllSum / tokens < best.loss) best = { step, loss: nllSum / tokens, values };
    };
    if (task.validateStart) await validate(0, start);
    const { values, losses } = await trainAdapter(
      compiledGraphs,
      layout,
      start,
      shuffledBatches(rows, training.batch, training.seed),
      training,
      meter,
      {
        offset,
        every: task.validateEvery,
        onStep: (step) => io.progress((step + 1 - training.firstStep) / (training.steps + 1)),
        onValues: (step, values) => validate(step - training.firstStep, values),
      },
    );
    const chosen = task.validateEvery > 0 ? best : { step: undefined, values };
    const tensors = adapterTensors(layout, chosen.values);
    // Whoever gave no start has no A yet; afterwards only what training changes travels.
    if (task.start !== undefined)
      for (const { name, part } of layout.tensors) if (part === "frozen") tensors.delete(name);
    return {
      values: encodeSafetensors(tensors),
      losses,
      examples: rows.length,
      ...(chosen.step === undefined ? {} : { bestStep: chosen.step }),
      validation,
    };
  }

  private async evaluate(task: Evaluate, layout: AdapterLayout, meter: Meter, io: TaskIo) {
    const members = await this.adapters(layout, task.adapter, task.members, io);
    const rows = this.rows(task.split, task.examplesLimit);
    const scores = await scoreMixtures(this.options.compiledGraphs, layout, members, task.mixtures, rows, meter, {
      onBatch: (_, done, of) => io.progress(done / of),
    });
    return { scores };
  }

  private async fit(task: FitWeights, layout: AdapterLayout, meter: Meter, io: TaskIo) {
    const members = await this.adapters(layout, task.adapter, task.members, io);
    const rows = this.rows("validation");
    const { compiledGraphs } = this.options;
    return await fitEnsembleWeights(compiledGraphs, layout, members, task.prior, task.strength, rows, meter);
  }

  private async receive(task: ReceiveEnsemble, layout: AdapterLayout, io: TaskIo): Promise<void> {
    const { onEnsemble } = this.options;
    if (onEnsemble === undefined) return;
    const members = [];
    for (const { name, adapter, weight } of task.members) {
      const values = await this.adapter(layout, task.adapter, adapter, io);
      members.push({ name, weight, tensors: adapterTensors(layout, values) });
    }
    await onEnsemble({ adapter: task.adapter, members });
  }
}
