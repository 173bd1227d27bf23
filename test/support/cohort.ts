/**
 * The results of simulated clients, without a language model: each client has a linear target map near its group's, and the loss of an
 * adapter is the squared distance of its map from the target. A result depends only on the client, the task and the bytes of the
 * task's blobs. Only sums, products and quotients of float64 are used, so that the bytes are the same on every machine.
 */
import { parseSafetensors } from "../../shared/adapters/safetensors.js";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { FloatTensor, NamedTensors } from "../../shared/base/tensors.js";
import { sketchTensors } from "../../shared/sketch/codec.js";
import { type LogisticRows, ROW_TERMS } from "../../shared/sketch/types.js";
import type { BlobRef, RowCounts, SplitName, TunedSpec } from "../../shared/wire/types.js";
import type { Evaluate, Score } from "../../tasks/evaluate/message.js";
import { type FitWeights, weightAlternatives } from "../../tasks/fit-weights/message.js";
import type { TaskName, TaskSpec, UnsentResult } from "../../tasks/kinds.js";
import type { ReleasedTensors } from "../../tasks/release.js";
import { type SketchGradients, sketchWidth } from "../../tasks/sketch-gradients/message.js";
import type { TrainAdapter, ValidationPoint } from "../../tasks/train-adapter/message.js";

/** A client's error in every task of a kind. */
export interface Fault {
  readonly kind: TaskName;
  /**
   * `fails`: says that it cannot. `notANumber`: tensors hold one NaN. `shape`: tensors have another shape. `far`: values are farther
   * from the start than training takes them. `garbage`: bytes are no tensors. `count`: the result does not fit the task.
   */
  readonly does: "fails" | "notANumber" | "shape" | "far" | "garbage" | "count";
}

export interface CohortClient {
  readonly name: string;
  /** Clients of a group have similar target maps. */
  readonly group: number;
  readonly rows: RowCounts;
  readonly faults?: readonly Fault[];
}

/** Returns the bytes of a blob of the task. */
export type Download = (ref: BlobRef) => Promise<Uint8Array>;

export type Cohort = (client: CohortClient, task: TaskSpec, download: Download) => Promise<UnsentResult>;

const LAYERS = 2;
const INPUTS = 3;
const OUTPUTS = 4;
const MAP_SIZE = LAYERS * OUTPUTS * INPUTS;
const TOKENS_PER_ROW = 3;
/** Below the coordinator's bound on a step, 7.3 learning rates. */
const LONGEST_STEP = 4;
/** Nats per squared distance: the gain at a target map is about half a nat. */
const STEEPNESS = 1;
const BASE_LOSS = 1;

/** [MAP_SIZE], each layer row-major [OUTPUTS, INPUTS]. */
type LinearMap = Float64Array;

const drawn = new Map<string, Float64Array>();

/** Read-only: the same labels give the same array. */
function numbers(length: number, size: number, ...labels: (string | number)[]): Float64Array {
  const key = JSON.stringify([length, size, labels]);
  const known = drawn.get(key);
  if (known !== undefined) return known;
  const rng = new SeededRng(11, ...labels);
  const made = Float64Array.from({ length }, () => size * (2 * rng.uniform() - 1));
  drawn.set(key, made);
  return made;
}

const sum = (values: ArrayLike<number>): number =>
  Array.prototype.reduce.call(values, (a, b) => (a as number) + (b as number), 0) as number;

function wanted({ name, group }: CohortClient, split: SplitName): LinearMap {
  const ofGroup = numbers(MAP_SIZE, 0.3, "group", group);
  const own = numbers(MAP_SIZE, 0.05, "client", name);
  const ofSplit = numbers(MAP_SIZE, 0.03, "split", name, split);
  return ofGroup.map((value, i) => value + own[i]! + ofSplit[i]!);
}

const linear = (layer: number): string => `layers.${layer}.q_proj`;
const weightName = (layer: number): string => `layers.${layer}.weight`;
const baseWeight = (layer: number): Float64Array => numbers(OUTPUTS * INPUTS, 1, "base", layer);

/** Start values of a training without a given start. */
function fresh(spec: TunedSpec): Map<string, FloatTensor> {
  const tensors = new Map<string, FloatTensor>();
  for (let layer = 0; layer < LAYERS; layer++) {
    if (spec.kind === "full") {
      tensors.set(weightName(layer), { shape: [OUTPUTS, INPUTS], data: Float32Array.from(baseWeight(layer)) });
    } else if (spec.kind === "lora") {
      const { rank, initSeed } = spec;
      const a = numbers(rank * INPUTS, 1, "fresh", initSeed, layer);
      tensors.set(`${linear(layer)}.lora_A.weight`, { shape: [rank, INPUTS], data: Float32Array.from(a) });
      tensors.set(`${linear(layer)}.lora_B.weight`, { shape: [OUTPUTS, rank], data: new Float32Array(OUTPUTS * rank) });
    } else {
      throw new KindredError("unsupported", `the cohort has no adapter of kind ${spec.kind}`);
    }
  }
  return tensors;
}

/** The change of the base's map by the values. */
function mapOf(spec: TunedSpec, tensors: NamedTensors): LinearMap {
  const map = new Float64Array(MAP_SIZE);
  for (let layer = 0; layer < LAYERS; layer++) {
    const at = layer * OUTPUTS * INPUTS;
    if (spec.kind === "full") {
      const base = baseWeight(layer);
      tensors.get(weightName(layer))!.data.forEach((value, i) => {
        map[at + i] = value - Math.fround(base[i]!);
      });
      continue;
    }
    const a = tensors.get(`${linear(layer)}.lora_A.weight`)!.data;
    const b = tensors.get(`${linear(layer)}.lora_B.weight`)!.data;
    const rank = a.length / INPUTS;
    for (let o = 0; o < OUTPUTS; o++)
      for (let i = 0; i < INPUTS; i++)
        for (let r = 0; r < rank; r++) map[at + o * INPUTS + i]! += b[o * rank + r]! * a[r * INPUTS + i]!;
  }
  return map;
}

const mixed = (maps: readonly LinearMap[], weights: readonly number[]): LinearMap =>
  new Float64Array(MAP_SIZE).map((_, i) => sum(maps.map((map, j) => weights[j]! * map[i]!)));

/** Nats per token. */
const lossOf = (map: LinearMap, goal: LinearMap): number =>
  BASE_LOSS + STEEPNESS * sum(map.map((value, i) => (value - goal[i]!) * (value - goal[i]!)));

/** Moves every trained value against its slope, at most `LONGEST_STEP` learning rates. */
function descend(
  spec: TunedSpec,
  tensors: NamedTensors,
  goal: LinearMap,
  offset: LinearMap,
  rate: number,
): Map<string, FloatTensor> {
  const map = mapOf(spec, tensors);
  const slope = map.map((value, i) => value + offset[i]! - goal[i]!);
  const moved = new Map<string, FloatTensor>();
  for (const [name, { shape, data }] of tensors) {
    const layer = Number(/\d+/.exec(name)![0]);
    const at = layer * OUTPUTS * INPUTS;
    const slopeOf = (i: number): number => {
      if (spec.kind === "full") return slope[at + i]!;
      const rank = shape[name.includes("lora_A") ? 0 : 1]!;
      if (name.includes("lora_A")) {
        const [r, input] = [Math.floor(i / INPUTS), i % INPUTS];
        const b = tensors.get(`${linear(layer)}.lora_B.weight`)!.data;
        return sum(
          Float64Array.from({ length: OUTPUTS }, (_, o) => slope[at + o * INPUTS + input]! * b[o * rank + r]!),
        );
      }
      const [output, r] = [Math.floor(i / rank), i % rank];
      const a = tensors.get(`${linear(layer)}.lora_A.weight`)!.data;
      return sum(
        Float64Array.from({ length: INPUTS }, (_, x) => slope[at + output * INPUTS + x]! * a[r * INPUTS + x]!),
      );
    };
    const still = "freezeA" in spec && spec.freezeA && name.includes("lora_A");
    const step = (i: number): number => Math.max(-LONGEST_STEP, Math.min(LONGEST_STEP, 20 * slopeOf(i)));
    moved.set(name, { shape, data: still ? data : data.map((value, i) => value - rate * step(i)) });
  }
  return moved;
}

const startOf = async (ref: BlobRef, download: Download): Promise<NamedTensors> =>
  parseSafetensors(await download(ref), { source: "start" }).tensors;

async function adapterAt(
  spec: TunedSpec,
  ref: BlobRef | undefined,
  download: Download,
): Promise<Map<string, FloatTensor>> {
  const values = fresh(spec);
  if (ref === undefined) return values;
  for (const [name, tensor] of await startOf(ref, download)) values.set(name, tensor);
  return values;
}

async function mapsOf(spec: TunedSpec, refs: readonly BlobRef[], download: Download): Promise<LinearMap[]> {
  const maps: LinearMap[] = [];
  for (const ref of refs) maps.push(mapOf(spec, await adapterAt(spec, ref, download)));
  return maps;
}

const cost = (flops: number) => ({ flops, computeSeconds: 0.25, peakRssBytes: 1024 });

async function train(client: CohortClient, task: TrainAdapter, download: Download): Promise<UnsentResult> {
  const { adapter, training } = task;
  const [goal, check] = [wanted(client, "train"), wanted(client, "validation")];
  let values = await adapterAt(adapter, task.start, download);
  const members = await mapsOf(
    adapter,
    task.offset.map((member) => member.adapter),
    download,
  );
  const offset = mixed(
    members,
    task.offset.map(({ weight }) => weight),
  );
  const tokens = TOKENS_PER_ROW * client.rows.validation;
  const losses: number[] = [];
  const validation: ValidationPoint[] = [];
  let best = { step: 0, loss: Number.POSITIVE_INFINITY, values };
  const validate = (step: number): void => {
    const loss = lossOf(mixed([mapOf(adapter, values), offset], [1, 1]), check);
    validation.push({ step, nllSum: tokens * loss, tokens });
    if (loss < best.loss) best = { step, loss, values };
  };
  if (task.validateStart) validate(0);
  for (let step = 1; step <= training.steps; step++) {
    losses.push(lossOf(mixed([mapOf(adapter, values), offset], [1, 1]), goal));
    // Other batches have other slopes.
    const batch = numbers(MAP_SIZE, 0.05, "batch", client.name, training.seed, training.firstStep + step);
    values = descend(
      adapter,
      values,
      goal.map((value, i) => value + batch[i]!),
      offset,
      training.learningRate,
    );
    if (task.validateEvery > 0 && (step % task.validateEvery === 0 || step === training.steps)) validate(step);
  }
  const kept = task.validateEvery > 0 ? best.values : values;
  const travels = [...kept].filter(
    ([name]) => !(task.start !== undefined && "freezeA" in adapter && adapter.freezeA && name.includes("lora_A")),
  );
  return {
    kind: "trainAdapter",
    values: {
      tensors: new Map(travels),
      ...(task.start === undefined ? {} : { start: await startOf(task.start, download) }),
    },
    losses,
    examples: client.rows.train,
    ...(task.validateEvery > 0 ? { bestStep: best.step } : {}),
    validation,
    cost: cost(1000 * training.steps * training.batch + client.name.length),
  };
}

async function evaluate(client: CohortClient, task: Evaluate, download: Download): Promise<UnsentResult> {
  const maps = await mapsOf(task.adapter, task.members, download);
  const goal = wanted(client, task.split);
  const examples = client.rows[task.split];
  const scores = task.mixtures.map((weights): Score => {
    const loss = lossOf(mixed(weights.length === 0 ? [] : maps, weights), goal);
    const correct = Math.max(0, Math.min(examples, Math.floor(examples * (2 - loss))));
    const tokens = TOKENS_PER_ROW * examples;
    return { nllSum: tokens * loss, tokens, correct, choiceRows: examples, examples, macroF1: correct / examples };
  });
  return { kind: "evaluate", scores, cost: cost(100 * scores.length) };
}

async function fitWeights(client: CohortClient, task: FitWeights, download: Download): Promise<UnsentResult> {
  const maps = await mapsOf(task.adapter, task.members, download);
  const goal = wanted(client, "validation");
  const tokens = TOKENS_PER_ROW * client.rows.validation;
  // Without powers, which engines round differently.
  const sharp = (loss: number): number => loss * loss * loss * loss;
  const merits = maps.map((map, j) => task.prior[j]! * task.strength + 8 / sharp(lossOf(map, goal)));
  const total = sum(merits);
  const weights = merits.map((merit) => merit / total);
  const nllSums = weightAlternatives(weights, task.prior).map((each) => tokens * lossOf(mixed(maps, each), goal));
  return { kind: "fitWeights", weights, tokens, nllSums, cost: cost(77) };
}

/** Rows with slopes in one direction in groups of even number, and in the opposite direction in the others: a gain of one is a loss of the other. */
function sketchRows(
  { name, group }: CohortClient,
  task: SketchGradients,
  split: "train" | "validation",
  rows: number,
): LogisticRows {
  const dim = sketchWidth(task);
  const examples = task.examplesLimit > 0 ? Math.min(rows, task.examplesLimit) : rows;
  const terms = task.negatives > 0 ? [ROW_TERMS.format, ROW_TERMS.choice] : [ROW_TERMS.answer];
  const count = examples * terms.length;
  const direction = numbers(dim, group % 2 === 0 ? 2 : -2, "direction", task.seed);
  const noise = numbers(count * dim, 0.5, "noise", name, split, task.seed);
  return {
    dim,
    examples,
    margin: Float32Array.from(numbers(count, 0.4, "margin", name, split)),
    sketch: Float32Array.from(noise, (value, i) => value + direction[i % dim]!),
    example: Int32Array.from({ length: count }, (_, row) => Math.floor(row / terms.length)),
    term: Uint8Array.from({ length: count }, (_, row) => terms[row % terms.length]!),
    ...(task.labels && split === "validation"
      ? { labels: { answer: new Int32Array(examples).fill(0), negative: new Int32Array(count).fill(-1) } }
      : {}),
  };
}

async function sound(client: CohortClient, task: TaskSpec, download: Download): Promise<UnsentResult> {
  switch (task.kind) {
    case "listChoices":
      return { kind: task.kind, answerPrefixes: [[client.group + 1], [client.group + 1, 70_000]], cost: cost(1) };
    case "sketchGradients": {
      const { train, validation } = client.rows;
      const tensors = sketchTensors({
        train: sketchRows(client, task, "train", train),
        validation: sketchRows(client, task, "validation", validation),
      });
      return { kind: task.kind, rows: { tensors }, trainExamples: train, cost: cost(500 * train) };
    }
    case "trainAdapter":
      return train(client, task, download);
    case "evaluate":
      return evaluate(client, task, download);
    case "fitWeights":
      return fitWeights(client, task, download);
    case "receiveEnsemble":
      for (const { adapter } of task.members) await download(adapter);
      return { kind: task.kind, cost: cost(0) };
  }
}

/** @throws {KindredError} `task_failed` where the plan lets the client fail */
export const cohort: Cohort = async (client, task, download) => {
  const fault = client.faults?.find(({ kind }) => kind === task.kind);
  if (fault?.does === "fails") throw new KindredError("task_failed", `no memory for ${task.kind}`);
  const result = await sound(client, task, download);
  return fault === undefined ? result : spoiled(result, fault);
};

function spoiled(result: UnsentResult, { does }: Fault): UnsentResult {
  if (result.kind === "trainAdapter") return { ...result, values: spoiledTensors(result.values, does) };
  if (result.kind === "sketchGradients") return { ...result, rows: spoiledTensors(result.rows, does) };
  if (result.kind === "evaluate") return { ...result, scores: [...result.scores, result.scores[0]!] };
  if (result.kind === "fitWeights") return { ...result, weights: [...result.weights, 0] };
  throw new Error(`no fault ${does} for ${result.kind}`);
}

function spoiledTensors(sound: ReleasedTensors, does: Fault["does"]): ReleasedTensors {
  // Its bytes are truncated where they are sent.
  if (does === "garbage") return sound;
  const tensors = new Map(sound.tensors);
  const [name, { shape, data }] = [...tensors].at(-1)!;
  if (does === "notANumber") tensors.set(name, { shape, data: data.with(0, Number.NaN) });
  else if (does === "far") tensors.set(name, { shape, data: data.map((value) => value + 1000) });
  else tensors.set(name, { shape: [data.length + 1], data: new Float32Array(data.length + 1) });
  return { ...sound, tensors };
}
