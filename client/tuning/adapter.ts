/**
 * The common part of all kinds of adapters: two flat vectors, a frozen and a trained one, and a layout that names the tensors inside
 * (a runtime then moves two tensors instead of hundreds); fresh values; values in and out by name; inputs in a graph. The file of
 * each kind has its computation.
 */
import type { TunedSettings } from "../../shared/adapters/settings.js";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";
import { type FloatTensor, type NamedTensors, sizeOf } from "../../shared/base/tensors.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { AdapterHooks } from "../models/architecture.js";

/**
 * `first`: projects an input down (LoRA's A, a bottleneck's down). `second`: projects up to the adapter's output (B, up). An adapter
 * whose second factors are all zero has no effect.
 */
export type Factor = "first" | "second";

export interface AdapterTensor {
  /** Name as in the kind's file format, without prefixes: "model.layers.0.self_attn.q_proj.lora_A.weight". */
  readonly name: string;
  /** [out, in]; [out] for a bias. */
  readonly shape: readonly number[];
  readonly factor: Factor;
  readonly part: "frozen" | "trained";
  /** First element within its part. */
  readonly offset: number;
}

export interface AdapterLayout {
  readonly spec: TunedSettings;
  readonly tensors: readonly AdapterTensor[];
  /** Elements of the part that is never trained; 0 where everything is trained. */
  readonly frozenSize: number;
  readonly trainedSize: number;
  /** Width of a step's dropout mask: the largest width of the values that dropout applies to. */
  readonly dropoutWidth: number;
  /** Adds the adapter to a graph. */
  readonly attach: (g: GraphBuilder, value: TensorValue, options: AttachOptions) => Attached;
}

/** The value of a tensor by its name. @param count number of tensors of one width from it on, concatenated. @default 1 */
export type TensorValue = (name: string, count?: number) => Value;

export interface AttachOptions {
  /** Factors [B*T, dropoutWidth], each 0 or 1 / (1 - p); undefined without dropout. */
  readonly mask: Value | undefined;
  /** Whether every second factor is zero, as in a fresh adapter: their products are left out. */
  readonly fresh: boolean;
}

export interface Attached {
  readonly adapt: AdapterHooks;
  readonly taps: readonly Tap[];
}

/** The values for a second factor's gradient: with e the gradient at `output`, the weight's is e^T input, the bias's the sum of e. */
export interface Tap {
  /** [B*T, out] */
  readonly output: Value;
  /** Input of the second factor: [B*T, in]. */
  readonly input: Value;
  /** Name of the second factor's weight [out, in]. */
  readonly weight: string;
  /** Name of its bias [out], where it has one. */
  readonly bias?: string;
}

/** An adapter's values. */
export interface AdapterValues {
  readonly frozen: Float32Array;
  readonly trained: Float32Array;
}

/** An adapter: a layout and values. */
export interface Adapter {
  readonly layout: AdapterLayout;
  readonly values: AdapterValues;
}

/** Adapters of one layout. */
export interface Adapters {
  readonly layout: AdapterLayout;
  readonly members: readonly AdapterValues[];
}

/** Assigns tensors to the two parts, in their order: the first factors are frozen, or everything is trained. */
export function placed(
  tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly factor: Factor }[],
  freezeFirst: boolean,
): Pick<AdapterLayout, "tensors" | "frozenSize" | "trainedSize"> {
  const sizes = { frozen: 0, trained: 0 };
  const all = tensors.map((tensor): AdapterTensor => {
    const part = freezeFirst && tensor.factor === "first" ? "frozen" : "trained";
    const offset = sizes[part];
    sizes[part] += sizeOf(tensor.shape);
    return { ...tensor, part, offset };
  });
  return { tensors: all, frozenSize: sizes.frozen, trainedSize: sizes.trained };
}

/**
 * Fresh values: first factors are Kaiming-uniform with a = sqrt(5), that is U(-1, 1) / sqrt(in), as PEFT draws A and AdapterHub's
 * `mam_adapter` draws down; all other values are zero.
 */
export function initialAdapter(layout: AdapterLayout, seed: number | bigint): AdapterValues {
  const values = emptyAdapter(layout);
  for (const { name, shape, factor, part, offset } of layout.tensors) {
    const [, width] = shape;
    if (factor === "second" || width === undefined) continue;
    const rng = new SeededRng(seed, "adapter", name);
    const bound = 1 / Math.sqrt(width);
    const data = values[part];
    for (let i = 0; i < sizeOf(shape); i++) data[offset + i] = bound * (2 * rng.uniform() - 1);
  }
  return values;
}

/** Whether every second factor is zero, so that the adapter has no effect. */
export function isFresh(layout: AdapterLayout, values: AdapterValues): boolean {
  return layout.tensors.every(
    ({ shape, factor, part, offset }) =>
      factor === "first" || values[part].subarray(offset, offset + sizeOf(shape)).every((number) => number === 0),
  );
}

/** An adapter of zeros: the base model. */
export function emptyAdapter(layout: AdapterLayout): AdapterValues {
  return { frozen: new Float32Array(layout.frozenSize), trained: new Float32Array(layout.trainedSize) };
}

/** All tensors of the adapter by name: views, not copies. */
export function adapterTensors(layout: AdapterLayout, values: AdapterValues): Map<string, FloatTensor> {
  return new Map(
    layout.tensors.map(({ name, shape, part, offset }) => [
      name,
      { shape, data: values[part].subarray(offset, offset + sizeOf(shape)) },
    ]),
  );
}

/**
 * Values of an adapter from named tensors. `from` gives frozen tensors that are missing: a message may hold the trained part alone.
 * @throws {KindredError} `invalid_adapter` for a missing or an unknown name, a wrong shape, a number that is not finite
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
    if (tensor.shape.length !== shape.length || tensor.shape.some((dim, axis) => dim !== shape[axis])) {
      throw new KindredError(
        "invalid_adapter",
        `${what}: tensor ${name} has shape [${tensor.shape.join(", ")}]; expected [${shape.join(", ")}]`,
      );
    }
    if (!tensor.data.every(Number.isFinite)) {
      throw new KindredError("invalid_adapter", `${what}: tensor ${name} holds a number that is not finite`);
    }
    values[part].set(tensor.data, offset);
  }
  return values;
}

/** An adapter in a graph, with its two inputs. */
export interface AdapterInGraph extends Attached {
  readonly frozen: Value | undefined;
  readonly trained: Value;
}

/**
 * Declares the adapter's inputs `frozen` [F] and `trained` [P] (each absent where empty), and `dropout` [B*T, dropoutWidth]
 * where the layout has dropout and `training` is set: factors 0 or 1 / (1 - p), one mask for the whole step.
 * @param options `fresh`: every second factor is zero, so their products are left out
 */
export function adapterInGraph(
  g: GraphBuilder,
  layout: AdapterLayout,
  { training = false, fresh = false } = {},
): AdapterInGraph {
  const inputs = {
    frozen: layout.frozenSize > 0 ? g.input("frozen", [layout.frozenSize]) : undefined,
    trained: g.input("trained", [layout.trainedSize]),
  };
  const mask = training && layout.spec.dropout > 0 ? g.input("dropout", ["B*T", layout.dropoutWidth]) : undefined;
  const find = new Map(layout.tensors.map((tensor) => [tensor.name, tensor]));
  const value: TensorValue = (name, count = 1) => {
    const { shape, part, offset } = find.get(name)!;
    const [rows = 1, ...rest] = shape;
    return g.reshape(g.slice(inputs[part] as Value, 0, offset, count * sizeOf(shape)), [count * rows, ...rest]);
  };
  return { ...inputs, ...layout.attach(g, value, { mask, fresh }) };
}
