/**
 * What a client sent as an adapter's values, held against what it should be: names, shapes, finite numbers, and no farther from
 * the start than its steps can have taken it. The coordinator knows no model; what it knows of an adapter is its specification,
 * and the names and shapes that a run has seen.
 */
import { bottleneckError } from "../../shared/adapters/bottleneck.js";
import { isBottleneck, type LoraSettings } from "../../shared/adapters/settings.js";
import { isTarget } from "../../shared/adapters/targets.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { TunedSpec } from "../../shared/wire/types.js";
import type { TrainingSpec } from "../../tasks/train-adapter/message.js";

/** Names and shapes; the values do not matter. */
export type AdapterShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

const shown = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** Why tensors are not those of `expected`, or hold a number that is none; nothing where they are sound. */
export function shapeError(tensors: NamedTensors, expected: AdapterShapes): string | undefined {
  for (const [name, { shape }] of expected) {
    const tensor = tensors.get(name);
    if (tensor === undefined) return `the update lacks the tensor ${name}`;
    if (tensor.shape.length !== shape.length || tensor.shape.some((dim, axis) => dim !== shape[axis])) {
      return `tensor ${name} has shape ${shown(tensor.shape)}, should be ${shown(shape)}`;
    }
  }
  for (const [name, { data }] of tensors) {
    if (!expected.has(name)) return `tensor ${name} is not part of the adapter`;
    const at = data.findIndex((value) => !Number.isFinite(value));
    if (at >= 0) return `tensor ${name} holds ${data[at]} at element ${at}`;
  }
  return undefined;
}

/**
 * Why tensors cannot be a whole adapter of this specification, as far as it tells: names, pairs, the rank or the bottleneck's
 * width. For the first values of a run, when nothing is there to compare with.
 */
export function specError(tensors: NamedTensors, spec: TunedSpec): string | undefined {
  if (tensors.size === 0) return "the update holds no tensors";
  // Of all weights it tells nothing: what most clients send is right.
  if (spec.kind === "full") return undefined;
  return isBottleneck(spec) ? bottleneckError(tensors, spec) : loraError(tensors, spec);
}

function loraError(tensors: NamedTensors, { modules, rank }: LoraSettings): string | undefined {
  for (const [name, { shape }] of tensors) {
    const [, linear, factor] = /^(.+)\.lora_([AB])\.weight$/.exec(name) ?? [];
    if (linear === undefined || (modules.length > 0 && !isTarget(linear, modules))) {
      return `tensor ${name} is not part of the adapter`;
    }
    const partner = `${linear}.lora_${factor === "A" ? "B" : "A"}.weight`;
    if (!tensors.has(partner)) return `the update lacks the tensor ${partner}`;
    if (shape.length !== 2 || shape[factor === "A" ? 0 : 1] !== rank) {
      return `tensor ${name} has shape ${shown(shape)}, should have rank ${rank}`;
    }
  }
  return undefined;
}

/**
 * What AdamW with betas of 0.9 and 0.999 can move a coordinate in a step, in learning rates: at most (1 - b1) / sqrt(1 - b2) /
 * sqrt(1 - b1^2 / b2) = 7.27, by the inequality of Cauchy and Schwarz on the two moments. Steps of real training move it by 1.
 */
const LONGEST_STEP = 7.3;

/**
 * Why tensors cannot be what so many steps made of `start`; nothing where they can. Without it one client could carry the others'
 * average as far off as it likes. A tensor that the start lacks began with fresh values, none of which is larger than 1. Numbers
 * that are not finite are `shapeError`'s.
 */
export function updateBound(
  tensors: NamedTensors,
  start: NamedTensors,
  { learningRate, weightDecay, steps }: Pick<TrainingSpec, "learningRate" | "weightDecay" | "steps">,
): string | undefined {
  // Decay that overshoots zero grows without a bound.
  if (learningRate * weightDecay > 1) return undefined;
  const reach = LONGEST_STEP * learningRate * steps;
  const decay = weightDecay * learningRate * steps;
  for (const [name, { data }] of tensors) {
    const from = start.get(name)?.data;
    const at = data.findIndex((value, i) => {
      const begun = from?.[i] ?? 0;
      const size = from === undefined ? 1 : Math.abs(begun);
      // The last term is float32's rounding; the fresh value itself is not known, so that all of it may be the distance.
      const most = reach + decay * (size + reach) + (from === undefined ? size : 1e-6 * size);
      return Number.isFinite(value) && Math.abs(value - begun) > most;
    });
    if (at >= 0) {
      return `tensor ${name} holds ${data[at]} at element ${at}, farther from its start than ${steps} steps at a learning rate of ${learningRate} can take it`;
    }
  }
  return undefined;
}
