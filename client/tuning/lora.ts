/**
 * LoRA (Hu et al. 2021): y = W x + s B A x on chosen linears, s as `scaleOf` has it. The adapter is two flat vectors, of what is
 * frozen and of what is trained, with a layout that names the tensors inside: a runtime then moves two tensors instead of hundreds.
 */
import { scaleOf } from "../../shared/adapters/scale.js";
import { isTarget } from "../../shared/adapters/targets.js";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import { type FloatTensor, type NamedTensors, sizeOf } from "../../shared/base/tensors.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import { type ApplyLinear, type Architecture, type Linear, moduleNames } from "../models/architecture.js";

export interface LoraSpec {
  readonly rank: number;
  readonly alpha: number;
  /** Names of linears or their ends ("q_proj", "attn.c_proj"), as PEFT takes them; those of the attention where empty. */
  readonly modules: readonly string[];
  /** Share of a linear's inputs dropped while training. */
  readonly dropout: number;
  /** Train B alone: averages of updates are then exact (FFA-LoRA, Sun et al. 2024). */
  readonly freezeA: boolean;
  /** Scale by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023). @default false */
  readonly rslora?: boolean;
}

export type AdaptedLinear = Pick<Linear, "name" | "out" | "in" | "reads">;

export interface AdapterTensor {
  /** As PEFT has it, without its prefix: "model.layers.0.self_attn.q_proj.lora_A.weight". */
  readonly name: string;
  /** A: [rank, in]; B: [out, rank]. */
  readonly shape: readonly [number, number];
  readonly part: "frozen" | "trained";
  /** First element within its part. */
  readonly offset: number;
}

export interface AdapterLayout {
  readonly spec: LoraSpec;
  readonly linears: readonly AdaptedLinear[];
  readonly tensors: readonly AdapterTensor[];
  /** Elements of the part that is never trained; 0 where all is. */
  readonly frozenSize: number;
  readonly trainedSize: number;
}

/** An adapter's values. */
export interface AdapterValues {
  readonly frozen: Float32Array;
  readonly trained: Float32Array;
}

const tensorName = (linear: string, factor: "A" | "B"): string => `${linear}.lora_${factor}.weight`;

/** @throws {KindredError} `invalid_config` for a module that the model does not have, or a rank or alpha out of range */
export function loraLayout(architecture: Architecture, spec: LoraSpec): AdapterLayout {
  const modules = spec.modules.length ? spec.modules : architecture.attentionModules;
  for (const module of modules) {
    if (!architecture.linears.some(({ name }) => isTarget(name, [module]))) {
      throw new KindredError(
        "invalid_config",
        `adapter.modules: ${JSON.stringify(module)} is not a linear of this model; choose from ${moduleNames(architecture).join(", ")}`,
      );
    }
  }
  if (!Number.isInteger(spec.rank) || spec.rank < 1) {
    throw new KindredError("invalid_config", `adapter.rank is ${spec.rank}, should be a positive integer`);
  }
  if (!(spec.alpha > 0)) throw new KindredError("invalid_config", `adapter.alpha is ${spec.alpha}, should be positive`);
  const linears = architecture.linears.filter(({ name }) => isTarget(name, modules));
  const sizes = { frozen: 0, trained: 0 };
  const place = (name: string, shape: readonly [number, number], part: "frozen" | "trained"): AdapterTensor => {
    const offset = sizes[part];
    sizes[part] += sizeOf(shape);
    return { name, shape, part, offset };
  };
  const tensors = [
    ...linears.map((l) => place(tensorName(l.name, "A"), [spec.rank, l.in], spec.freezeA ? "frozen" : "trained")),
    ...linears.map((l) => place(tensorName(l.name, "B"), [l.out, spec.rank], "trained")),
  ];
  return { spec, linears, tensors, frozenSize: sizes.frozen, trainedSize: sizes.trained };
}

/** Fresh values as PEFT draws them: A Kaiming-uniform with a = sqrt(5), that is U(-1, 1) / sqrt(in); B zero. */
export function initialAdapter(layout: AdapterLayout, seed: number | bigint): AdapterValues {
  const values = emptyAdapter(layout);
  for (const { name, shape, part, offset } of layout.tensors) {
    if (!name.endsWith(".lora_A.weight")) continue;
    const rng = new SeededRng(seed, "adapter", name);
    const bound = 1 / Math.sqrt(shape[1]);
    const data = values[part];
    for (let i = 0; i < sizeOf(shape); i++) data[offset + i] = bound * (2 * rng.uniform() - 1);
  }
  return values;
}

/** True where every B is zero, so that the adapter does nothing yet. */
export function isFresh(layout: AdapterLayout, values: AdapterValues): boolean {
  return layout.tensors.every(
    ({ name, shape, part, offset }) =>
      !name.endsWith(".lora_B.weight") ||
      values[part].subarray(offset, offset + sizeOf(shape)).every((number) => number === 0),
  );
}

export function emptyAdapter(layout: AdapterLayout): AdapterValues {
  return { frozen: new Float32Array(layout.frozenSize), trained: new Float32Array(layout.trainedSize) };
}

/** The adapter as named tensors, all of them (views, not copies). */
export function adapterTensors(layout: AdapterLayout, values: AdapterValues): Map<string, FloatTensor> {
  return new Map(
    layout.tensors.map(({ name, shape, part, offset }) => [
      name,
      { shape, data: values[part].subarray(offset, offset + sizeOf(shape)) },
    ]),
  );
}

/**
 * Values of an adapter from named tensors. `from` gives what the tensors leave out (a message may hold the trained part alone).
 * @throws {KindredError} `invalid_adapter` for a name that is missing or too many, a wrong shape, a number that is not finite
 */
export function adapterFromTensors(
  layout: AdapterLayout,
  tensors: NamedTensors,
  what: string,
  from?: AdapterValues,
): AdapterValues {
  const values = from ? { frozen: from.frozen.slice(), trained: from.trained.slice() } : emptyAdapter(layout);
  const names = new Set(layout.tensors.map(({ name }) => name));
  for (const name of tensors.keys()) {
    if (!names.has(name))
      throw new KindredError("invalid_adapter", `${what}: tensor ${name} is not part of this adapter`);
  }
  for (const { name, shape, part, offset } of layout.tensors) {
    const tensor = tensors.get(name);
    if (tensor === undefined) {
      if (from !== undefined && part === "frozen") continue;
      throw new KindredError("invalid_adapter", `${what}: tensor ${name} is missing`);
    }
    if (tensor.shape.length !== 2 || tensor.shape[0] !== shape[0] || tensor.shape[1] !== shape[1]) {
      throw new KindredError(
        "invalid_adapter",
        `${what}: tensor ${name} has shape [${tensor.shape.join(", ")}], should be [${shape.join(", ")}]`,
      );
    }
    if (!tensor.data.every(Number.isFinite)) {
      throw new KindredError("invalid_adapter", `${what}: tensor ${name} holds a number that is not finite`);
    }
    values[part].set(tensor.data, offset);
  }
  return values;
}

/** An adapter inside a graph: its two inputs and what it adds to the linears. */
export interface LoraInGraph {
  readonly frozen: Value | undefined;
  readonly trained: Value;
  readonly apply: ApplyLinear;
  /** What each adapted linear gave, with the input's product with A: what a gradient of B needs. */
  readonly taps: readonly { linear: AdaptedLinear; output: Value; down: Value }[];
}

/**
 * Declares the adapter's inputs `frozen` [F] and `trained` [P] (each absent where empty), and `dropout` [B*T, widest input]
 * where the layout drops out and `training` is set: factors 0 or 1 / (1 - p), one mask for all linears of a step.
 * @param options `zeroB`: every B is zero, as in a fresh adapter, and its products are left out
 */
export function loraInGraph(
  g: GraphBuilder,
  layout: AdapterLayout,
  { training = false, zeroB = false } = {},
): LoraInGraph {
  const inputs = {
    frozen: layout.frozenSize > 0 ? g.input("frozen", [layout.frozenSize]) : undefined,
    trained: g.input("trained", [layout.trainedSize]),
  };
  const widest = Math.max(...layout.linears.map((linear) => linear.in));
  const mask = training && layout.spec.dropout > 0 ? g.input("dropout", ["B*T", widest]) : undefined;
  const find = new Map(layout.tensors.map((tensor) => [tensor.name, tensor]));
  const linears = new Map(layout.linears.map((linear) => [linear.name, linear]));
  const { rank, rslora = false } = layout.spec;
  const scale = scaleOf({ ...layout.spec, useRslora: rslora });
  /** Tensors of equal width that lie side by side, as one. */
  const stacked = (first: string, count: number): Value => {
    const { shape, part, offset } = find.get(first) as AdapterTensor;
    return g.reshape(g.slice(inputs[part] as Value, 0, offset, count * sizeOf(shape)), [count * shape[0], shape[1]]);
  };
  const downs = new Map<string, Value>();
  /** Products with A of what several linears read are one: narrow products take their time by the call (4 % of a step). */
  const downOf = (linear: AdaptedLinear, x: Value): Value => {
    if (!downs.has(linear.name)) {
      const readers = layout.linears.filter(({ reads }) => reads === linear.reads);
      const input = mask === undefined ? x : g.mul(x, g.slice(mask, 1, 0, linear.in));
      const all = stacked(tensorName(readers[0]!.name, "A"), readers.length);
      const down = g.matmul(input, all, { transB: true, scale });
      for (const [at, { name }] of readers.entries()) downs.set(name, g.slice(down, 1, at * rank, rank));
    }
    return downs.get(linear.name) as Value;
  };
  const taps: { linear: AdaptedLinear; output: Value; down: Value }[] = [];
  const apply: ApplyLinear = (name, x, base) => {
    const linear = linears.get(name);
    if (linear === undefined) return base();
    const down = downOf(linear, x);
    const output = zeroB ? base() : g.add(base(), g.matmul(down, stacked(tensorName(name, "B"), 1), { transB: true }));
    taps.push({ linear, output, down });
    return output;
  };
  return { ...inputs, apply, taps };
}
