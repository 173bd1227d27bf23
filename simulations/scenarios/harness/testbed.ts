/**
 * The testbed of studies: one model, the rows of a few datasets, and one kind of adapter, all in this process. It trains adapters on all
 * rows of a subset in one place, as the estimate assumes, and scores them. It knows nothing of the purpose of a study.
 */
import { type EncodedDataset, type EncodedRow, SPLITS, type Split } from "../../../client/data/types.js";
import type { BaseModel } from "../../../client/models/base.js";
import { layoutOf } from "../../../client/tasks/sketch.js";
import { type AdapterLayout, type AdapterValues, initialAdapter } from "../../../client/tuning/adapter.js";
import { packRows, scoredTokens } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { adamwGraph, trainingGraph } from "../../../client/tuning/graphs.js";
import { scoreMixtures } from "../../../client/tuning/scoring.js";
import { shuffledBatches, trainAdapter } from "../../../client/tuning/training.js";
import type { JobContext } from "../../../shared/base/command.js";
import type { SimulationPlan } from "../../../shared/config/config.js";
import { flops } from "../../../shared/graph/cost.js";
import type { Graph } from "../../../shared/graph/graph.js";
import { openRuntime } from "../../../shared/runtimes/choose.js";
import type { Runtime } from "../../../shared/runtimes/types.js";
import { encodePopulation, openPopulation, rowsHash } from "../../population/open.js";

/** The training of an adapter on a subset. */
export interface Tuning {
  /** Passes over the subset's training rows. */
  readonly epochs: number;
  readonly batch: number;
  readonly learningRate: number;
  readonly seed: number;
}

export interface Tuned {
  readonly values: AdapterValues;
  readonly flops: number;
  /** Time in the runtime. */
  readonly seconds: number;
}

/** Scores of one dataset under one adapter. */
export interface TestbedScore {
  /** Nats per row where rows have choices (as in the estimate), else per scored token. */
  readonly loss: number;
  /** Share of rows whose right choice is the most likely; null where no row has choices. */
  readonly accuracy: number | null;
}

const stepsOf = (rows: number, { epochs, batch }: Pick<Tuning, "epochs" | "batch">): number =>
  Math.max(1, Math.round((epochs * rows) / batch));

type TestbedParts = Pick<
  Testbed,
  "names" | "datasets" | "base" | "runtime" | "compiledGraphs" | "layout" | "start" | "setting"
> & { readonly signal: AbortSignal };

export class Testbed {
  private readonly trainingGraph: Graph;
  private readonly optimizerFlops: number;
  /** Operations of a training step by its sizes. */
  private readonly stepFlops = new Map<number, number>();

  readonly names: readonly string[];
  readonly datasets: readonly EncodedDataset[];
  readonly base: BaseModel;
  readonly runtime: Runtime;
  readonly compiledGraphs: CompiledGraphs;
  readonly layout: AdapterLayout;
  /** A fresh adapter: the point of the estimate's linearisation, and the start of every tuning. */
  readonly start: AdapterValues;
  /** Determines every number measured here: model, rows, adapter and its start. */
  readonly setting: Readonly<Record<string, unknown>>;
  private readonly signal: AbortSignal;

  private constructor(parts: TestbedParts) {
    this.names = parts.names;
    this.datasets = parts.datasets;
    this.base = parts.base;
    this.runtime = parts.runtime;
    this.compiledGraphs = parts.compiledGraphs;
    this.layout = parts.layout;
    this.start = parts.start;
    this.setting = parts.setting;
    this.signal = parts.signal;
    this.trainingGraph = trainingGraph(parts.base, parts.layout);
    this.optimizerFlops = flops(adamwGraph(parts.layout.trainedSize), {});
  }

  /** Opens the plan's model and population, with its adapter, base and seed. */
  static async open(plan: SimulationPlan, context: JobContext): Promise<Testbed> {
    const opened = await openPopulation(plan, context);
    const { clients } = opened.population;
    const { base } = opened.model;
    const datasets = await encodePopulation(plan, opened, context.log);
    const runtime = await openRuntime(plan.runtime);
    const compiledGraphs = new CompiledGraphs(runtime, base);
    const layout = layoutOf(compiledGraphs, { ...plan.adapter, initSeed: plan.seed });
    const setting = {
      model: base.hash,
      // As tokens: their origin and truncation have no other effect.
      rows: datasets.map((dataset, at) => [clients[at]!.name, rowsHash(dataset, SPLITS)]),
      adapter: plan.adapter,
      seed: plan.seed,
    };
    const names = clients.map(({ name }) => name);
    const start = initialAdapter(layout, plan.seed);
    const { signal } = context;
    return new Testbed({ names, datasets, base, runtime, compiledGraphs, layout, start, setting, signal });
  }

  /** Rows of a subset's split in one list. */
  rows(subset: readonly number[], split: Split): EncodedRow[] {
    return subset.flatMap((i) => this.datasets[i]![split]);
  }

  /** Tunes one adapter on all training rows of a subset: one cycle of warm-up and cosine, no early stopping. */
  async tune(
    subset: readonly number[],
    { epochs, batch, learningRate, seed }: Tuning,
    start: AdapterValues = this.start,
  ): Promise<Tuned> {
    const rows = this.rows(subset, "train");
    const steps = stepsOf(rows.length, { epochs, batch });
    const meter = new Meter(this.signal);
    const plan = {
      learningRate,
      warmupSteps: Math.round(steps / 10),
      totalSteps: steps,
      weightDecay: 0,
      clipNorm: 1,
      seed,
      firstStep: 0,
      steps,
    };
    const batches = shuffledBatches(rows, batch, seed);
    const { values } = await trainAdapter(this.compiledGraphs, { layout: this.layout, values: start }, batches, plan, {
      meter,
    });
    return { values, flops: meter.flops, seconds: meter.computeSeconds };
  }

  /** Operations that `tune` takes, counted from its graphs for the same batches, without a run. */
  tuningFlops(subset: readonly number[], { epochs, batch, seed }: Omit<Tuning, "learningRate">): number {
    const rows = this.rows(subset, "train");
    const steps = stepsOf(rows.length, { epochs, batch });
    const batches = shuffledBatches(rows, batch, seed);
    let sum = steps * this.optimizerFlops;
    for (let step = 0; step < steps; step++) {
      const chosen = batches(step);
      const B = 1 + Math.max(...packRows(chosen).map(({ sequence }) => sequence));
      const T = Math.max(...chosen.map(({ scored }) => scored.at(-1)!));
      const S = scoredTokens(chosen);
      const key = (B * 2 ** 16 + T) * 2 ** 20 + S;
      let count = this.stepFlops.get(key);
      if (count === undefined) {
        count = flops(this.trainingGraph, { B, T, S });
        this.stepFlops.set(key, count);
      }
      sum += count;
    }
    return sum;
  }

  /** Scores datasets one by one. @param values undefined: the base model */
  async score(values: AdapterValues | undefined, clients: readonly number[], split: Split): Promise<TestbedScore[]> {
    const members = values === undefined ? [] : [values];
    const weights = members.map(() => 1);
    const scores: TestbedScore[] = [];
    for (const i of clients) {
      const rows = this.datasets[i]![split];
      const meter = new Meter(this.signal);
      const [score] = await scoreMixtures(this.compiledGraphs, { layout: this.layout, members }, [weights], rows, {
        meter,
      });
      const { nllSum, tokens, correct, choiceRows } = score!;
      scores.push({
        loss: nllSum / (choiceRows > 0 ? rows.length : tokens),
        accuracy: choiceRows > 0 ? correct / choiceRows : null,
      });
    }
    return scores;
  }

  async close(): Promise<void> {
    await this.compiledGraphs.close();
    await this.runtime.close();
  }
}
