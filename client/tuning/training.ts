/** Trains an adapter on a client's rows: AdamW with decoupled weight decay, warm-up and cosine schedule, clipped gradients. */
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { HostTensor, ResidentTensor } from "../../shared/runtimes/types.js";
import type { EncodedRow } from "../data/types.js";
import type { Architecture } from "../models/architecture.js";
import type { Adapter, AdapterLayout, AdapterValues } from "./adapter.js";
import { type Feeds, packRows, type Start, scoredTokens, trainingFeeds } from "./batches.js";
import type { CompiledGraphs, Meter } from "./compiled-graphs.js";
import { notFinite } from "./finite.js";
import { adamwGraph, proximalGraph, sumGraph, trainingGraph } from "./graphs.js";
import { type Member, MixedLogits } from "./mixing.js";

export interface Schedule {
  readonly learningRate: number;
  readonly warmupSteps: number;
  /** Steps until the learning rate is 0 again; steps count from 0 over all rounds. */
  readonly totalSteps: number;
}

/** Linear warm-up from 0, then half a cosine down to 0. @param step from 0 */
export function learningRateAt({ learningRate, warmupSteps, totalSteps }: Schedule, step: number): number {
  if (step < warmupSteps) return (learningRate * step) / Math.max(1, warmupSteps);
  const progress = Math.min(1, (step - warmupSteps) / Math.max(1, totalSteps - warmupSteps));
  return 0.5 * learningRate * (1 + Math.cos(Math.PI * progress));
}

export interface TrainingPlan extends Schedule {
  readonly weightDecay: number;
  /** Equal parts that a batch is split into, one in memory at a time; the gradient is the whole batch's. @default 1 */
  readonly accumulate?: number;
  /** Whether layers are recomputed in the backward pass: less memory, about a third more time. @default false */
  readonly checkpoint?: boolean;
  /** Largest L2 norm of a step's gradient; 0 for no limit. */
  readonly clipNorm: number;
  /** mu of the objective's term mu / 2 |w - start|^2 over the trained values (FedProx). The losses do not contain it. @default 0 */
  readonly proximal?: number;
  /** Draws the dropout masks. */
  readonly seed: number | bigint;
  /** First step in the schedule, and the number of steps. */
  readonly firstStep: number;
  readonly steps: number;
}

export interface TrainingHooks {
  readonly meter: Meter;
  /** Fixed members whose logits' differences to the base are added to the loss's logits (boosting). */
  readonly offset?: readonly Member[];
  /** Called after each step. @param loss nats per scored token */
  readonly onStep?: (step: number, loss: number) => void;
  /** `onValues` is called after every `every` steps and after the last step, with the values so far. */
  readonly every?: number;
  readonly onValues?: (step: number, values: AdapterValues) => Promise<void>;
}

export interface TrainingOutcome {
  readonly values: AdapterValues;
  /** One per step, nats per scored token. */
  readonly losses: readonly number[];
}

/** The rows of a step, in batches of `batch`. Every pass over the rows has a new order, drawn from the seed and the pass alone. */
export function shuffledBatches<T>(rows: readonly T[], batch: number, seed: number | bigint): (step: number) => T[] {
  const perPass = Math.ceil(rows.length / batch);
  return (step) => {
    const order = new SeededRng(seed, "order", Math.floor(step / perPass)).permutation(rows.length);
    const at = (step % perPass) * batch;
    return Array.from(order.subarray(at, at + batch), (i) => rows[i] as T);
  };
}

/**
 * Trains an adapter from its given values.
 * @param batchAt the rows of a step of the schedule
 * @throws {KindredError} `task_failed` where the loss or the gradient is not finite
 */
export async function trainAdapter(
  compiledGraphs: CompiledGraphs,
  { layout, values: start }: Adapter,
  batchAt: (step: number) => readonly EncodedRow[],
  plan: TrainingPlan,
  { meter, onStep, every = 0, onValues, offset = [] }: TrainingHooks,
): Promise<TrainingOutcome> {
  const { runtime, model } = compiledGraphs;
  const boosting = offset.some(({ weight }) => weight !== 0);
  const split = splitFor(compiledGraphs, layout, batchAt, plan, boosting);
  const { checkpoint } = split;
  const name = `train${boosting ? "-offset" : ""}${checkpoint ? "-checkpoint" : ""}`;
  const step = await compiledGraphs.get(name, layout, () =>
    trainingGraph(model, layout, { offset: boosting, checkpoint }),
  );
  const optimizer = await AdamW.start(compiledGraphs, start.trained, meter, plan.proximal);
  const frozen =
    layout.frozenSize > 0 ? await runtime.upload({ shape: [layout.frozenSize], data: start.frozen }) : undefined;
  const mixer = boosting ? await MixedLogits.open(compiledGraphs, layout, offset, meter) : undefined;
  const losses: number[] = [];
  try {
    for (let s = plan.firstStep; s < plan.firstStep + plan.steps; s++) {
      const batch = batchAt(s);
      let loss = 0;
      let sum: ResidentTensor | undefined;
      for (const part of split.parts(batch)) {
        const feeds = partFeeds(model.architecture, layout, { batch, part, seed: plan.seed, step: s });
        const added = mixer === undefined ? undefined : await mixer.offset(feeds);
        const run = await meter.run(
          step,
          {
            ...feeds,
            trained: optimizer.values,
            ...(frozen ? { frozen } : {}),
            ...(added ? { offset: added } : {}),
          },
          { fetch: ["loss"], keep: ["grad"] },
        );
        compiledGraphs.free(added);
        loss += run.tensors.loss!.data[0] as number;
        sum = sum === undefined ? run.resident.grad! : await optimizer.add(sum, run.resident.grad!);
      }
      if (!Number.isFinite(loss)) {
        // Nothing has been trained yet: the fault is not the learning rate's.
        if (s === 0) throw notFinite(loss);
        throw new KindredError(
          "task_failed",
          `the training loss is ${loss} at step ${s}; use a smaller learning rate`,
          { step: s },
        );
      }
      await optimizer.step(sum as ResidentTensor, learningRateAt(plan, s), plan.weightDecay, plan.clipNorm);
      losses.push(loss);
      onStep?.(s, loss);
      const done = s + 1 - plan.firstStep;
      if (onValues !== undefined && every > 0 && (done % every === 0 || done === plan.steps)) {
        await onValues(s + 1, { frozen: start.frozen, trained: await optimizer.download() });
      }
    }
    const trained = await optimizer.download();
    if (!trained.every(Number.isFinite)) {
      throw new KindredError(
        "task_failed",
        "training ended with values that are not finite; use a smaller learning rate",
      );
    }
    return { values: { frozen: start.frozen, trained }, losses };
  } finally {
    optimizer.free();
    compiledGraphs.free(frozen);
    mixer?.close();
  }
}

/** A part of a step's batch, and the stream that its dropout masks are drawn from. */
interface Part {
  readonly batch: readonly EncodedRow[];
  /** Indices of its rows in the batch. */
  readonly part: readonly number[];
  readonly seed: number | bigint;
  readonly step: number;
}

/** Feeds of a part of a batch, each token weighted by the scored tokens of the whole batch. */
function partFeeds(architecture: Architecture, layout: AdapterLayout, { batch, part, seed, step }: Part): Feeds {
  const rows = part.map((at) => batch[at] as EncodedRow);
  const starts = packRows(rows);
  const feeds: Feeds = trainingFeeds(rows, architecture, 1 / scoredTokens(batch), starts);
  if (layout.spec.dropout > 0) {
    const [count, length] = feeds.tokens!.shape as [number, number];
    const rng = (row: number): SeededRng => new SeededRng(seed, "dropout", step, part[row] as number);
    const shape = [count, length, layout.dropoutWidth] as const;
    feeds.dropout = dropoutMask(shape, layout.spec.dropout, { rows, starts, rng });
  }
  return feeds;
}

/** How a batch is split: its parts, and whether layers are recomputed in the backward pass. */
interface Split {
  readonly checkpoint: boolean;
  /** Indices of a batch's rows, in parts. */
  readonly parts: (batch: readonly EncodedRow[]) => number[][];
}

/** The cost of another part, in tokens: all weights are read again, and products have fewer rows. */
const PART_TOKENS = 48;
/** Steps whose rows are read before the first step: enough to know the lengths of rows. */
const PREVIEWED_STEPS = 8;

/**
 * The split that the plan asks for, or the fastest one whose parts fit the memory budget.
 * @throws {KindredError} `invalid_option` where no row fits, naming the memory that would do
 */
function splitFor(
  { budget, model }: CompiledGraphs,
  layout: AdapterLayout,
  batchAt: (step: number) => readonly EncodedRow[],
  plan: TrainingPlan,
  offset: boolean,
): Split {
  const asked = plan.checkpoint ?? false;
  if (budget === undefined) return { checkpoint: asked, parts: (batch) => equalParts(batch, plan.accumulate ?? 1) };
  const room = budget.room("training", layout);
  const seen = Math.min(plan.steps, PREVIEWED_STEPS);
  const batches = Array.from({ length: seen }, (_, s) => batchAt(plan.firstStep + s));
  const rows = batches.flat();
  const longest = {
    T: Math.max(...rows.map((row) => tokensOf([row]))),
    S: Math.max(...rows.map((row) => scoredTokens([row]))),
  };
  const ways = (asked ? [true] : [false, true]).map((checkpoint) => {
    const graph = budget.graph(`train ${offset} ${checkpoint}`, layout, () =>
      trainingGraph(model, layout, { offset, checkpoint }),
    );
    const fits = (part: readonly EncodedRow[]): boolean => {
      const B = 1 + Math.max(...packRows(part).map(({ sequence }) => sequence));
      return graph.of({ B, T: Math.max(...part.map((row) => tokensOf([row]))), S: scoredTokens(part) }) <= room;
    };
    const parts = (batch: readonly EncodedRow[]): number[][] => partsThatFit(batch, fits);
    const alone = graph.of({ B: 1, ...longest });
    const most = alone <= room ? Math.max(...batches.map((batch) => parts(batch).length)) : Number.POSITIVE_INFINITY;
    const time = (tokensOf(rows) + PART_TOKENS * most * seen) * (checkpoint ? 4 / 3 : 1);
    return { checkpoint, parts, alone, most, time };
  });
  const best = ways.reduce((a, b) => (b.time < a.time ? b : a));
  if (best.most === Number.POSITIVE_INFINITY) {
    const least = Math.min(...ways.map(({ alone }) => alone));
    budget.refuse("training", layout, least, `its longest row of ${longest.T} tokens`);
  }
  budget.say("training", { partsOfAStep: best.most, layersAgain: best.checkpoint });
  return best;
}

const tokensOf = (rows: readonly EncodedRow[]): number =>
  rows.reduce((sum, { scored }) => sum + (scored.at(-1) as number), 0);

/** Indices of a batch's rows in parts as large as fit, the longest rows first: rows of similar length share a part. */
function partsThatFit(batch: readonly EncodedRow[], fits: (rows: readonly EncodedRow[]) => boolean): number[][] {
  const order = batch.map((_, i) => i).sort((a, b) => tokensOf([batch[b]!]) - tokensOf([batch[a]!]) || a - b);
  const parts: number[][] = [];
  for (let from = 0; from < order.length; ) {
    // Bisection: the most rows that fit, at least one.
    let [most, tooMany] = [1, order.length - from + 1];
    while (tooMany - most > 1) {
      const tried = (most + tooMany) >> 1;
      if (fits(order.slice(from, from + tried).map((i) => batch[i] as EncodedRow))) most = tried;
      else tooMany = tried;
    }
    parts.push(order.slice(from, from + most));
    from += most;
  }
  return parts;
}

/** Indices of a batch's rows in a number of equal parts, rows of similar length in one part. */
function equalParts(batch: readonly EncodedRow[], parts: number): number[][] {
  const order = batch.map((_, i) => i);
  if (parts > 1) order.sort((a, b) => batch[a]!.tokens.length - batch[b]!.tokens.length || a - b);
  const size = Math.ceil(batch.length / parts);
  return Array.from({ length: Math.ceil(batch.length / size) }, (_, i) => order.slice(i * size, (i + 1) * size));
}

/** The positions of a part's rows, and the streams that their masks are drawn from. */
interface Masked {
  readonly rows: readonly EncodedRow[];
  readonly starts: readonly Start[];
  /** The stream of a row: its mask does not depend on how rows are packed and split. */
  readonly rng: (row: number) => SeededRng;
}

/** Factors [sequences * length, width]: 0 with probability p, else 1 / (1 - p); 0 where padded. */
function dropoutMask(
  [count, length, width]: readonly [number, number, number],
  p: number,
  { rows, starts, rng }: Masked,
): HostTensor {
  const data = new Float32Array(count * length * width);
  const threshold = p * 4294967296;
  rows.forEach(({ scored }, row) => {
    const { sequence, position } = starts[row] as Start;
    const stream = rng(row);
    const from = (sequence * length + position) * width;
    const end = from + (scored.at(-1) as number) * width;
    for (let i = from; i < end; i++) data[i] = stream.uint32() < threshold ? 0 : 1 / (1 - p);
  });
  return { shape: [count * length, width], data };
}

/** Tensors [P] of the optimiser. */
type AdamWState = Readonly<Record<"values" | "moment1" | "moment2", ResidentTensor>>;

/** What holds the values near their start: its strength, and where they started. */
interface ProximalTerm {
  readonly mu: number;
  readonly start: ResidentTensor;
}

/** AdamW (Loshchilov and Hutter 2019). Its state stays with the runtime. */
export class AdamW {
  private taken = 0;

  private constructor(
    private readonly compiledGraphs: CompiledGraphs,
    private readonly program: Awaited<ReturnType<CompiledGraphs["get"]>>,
    private readonly meter: Meter,
    private state: AdamWState,
    private readonly term: ProximalTerm | undefined,
  ) {}

  get values(): ResidentTensor {
    return this.state.values;
  }

  /** @param proximal mu of the term mu / 2 |w - values|^2, whose gradient is added to each step's before it is clipped; 0 for none */
  static async start(compiledGraphs: CompiledGraphs, values: Float32Array, meter: Meter, proximal = 0): Promise<AdamW> {
    const size = values.length;
    const program = await compiledGraphs.get(`adamw-${size}`, undefined, () => adamwGraph(size));
    const up = (data: Float32Array): Promise<ResidentTensor> => compiledGraphs.runtime.upload({ shape: [size], data });
    const zeros = new Float32Array(size);
    const state = { values: await up(values), moment1: await up(zeros), moment2: await up(zeros) };
    const term = proximal > 0 ? { mu: proximal, start: await up(values) } : undefined;
    return new AdamW(compiledGraphs, program, meter, state, term);
  }

  /** One update by a gradient, which is freed. @param clipNorm largest L2 norm of the gradient; 0 for no limit */
  async step(given: ResidentTensor, rate: number, weightDecay: number, clipNorm: number): Promise<void> {
    this.taken++;
    const grad = await this.withTerm(given);
    const { resident } = await this.meter.run(
      this.program,
      {
        ...this.state,
        grad,
        rate: scalar(rate),
        decay: scalar(rate * weightDecay),
        correction1: scalar(1 / (1 - 0.9 ** this.taken)),
        correction2: scalar(1 / (1 - 0.999 ** this.taken)),
        clip: scalar(clipNorm > 0 ? clipNorm : 3e38),
      },
      { fetch: [], keep: ["values", "moment1", "moment2"] },
    );
    this.compiledGraphs.free(grad, ...Object.values(this.state));
    this.state = { values: resident.values!, moment1: resident.moment1!, moment2: resident.moment2! };
  }

  /** The gradient with that of the proximal term; the given one is freed where there is a term. */
  private async withTerm(loss: ResidentTensor): Promise<ResidentTensor> {
    if (this.term === undefined) return loss;
    const { mu, start } = this.term;
    const size = loss.shape[0] as number;
    const program = await this.compiledGraphs.get(`proximal-${size}`, undefined, () => proximalGraph(size));
    const feeds = { loss, values: this.state.values, start, mu: scalar(mu) };
    const { resident } = await this.meter.run(program, feeds, { fetch: [], keep: ["grad"] });
    this.compiledGraphs.free(loss);
    return resident.grad!;
  }

  /** The sum of two gradients, both freed. */
  async add(a: ResidentTensor, b: ResidentTensor): Promise<ResidentTensor> {
    const size = a.shape[0] as number;
    const program = await this.compiledGraphs.get(`sum-${size}`, undefined, () => sumGraph(size));
    const { resident } = await this.meter.run(program, { a, b }, { fetch: [], keep: ["sum"] });
    this.compiledGraphs.free(a, b);
    return resident.sum!;
  }

  async download(): Promise<Float32Array> {
    return (await this.compiledGraphs.runtime.download(this.values)).data as Float32Array;
  }

  free(): void {
    this.compiledGraphs.free(...Object.values(this.state), this.term?.start);
  }
}

const scalar = (value: number): HostTensor => ({ shape: [1], data: Float32Array.of(value) });
