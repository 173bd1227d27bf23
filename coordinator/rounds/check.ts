/**
 * What a client sent as an adapter's values, held against what it should be: names, shapes, finite numbers. The coordinator knows
 * no model; what it knows of an adapter is its specification, and the names and shapes that a run has seen.
 */
import { bottleneckFlaw } from "../../shared/adapters/bottleneck.js";
import { isBottleneck, type LoraSettings } from "../../shared/adapters/settings.js";
import { isTarget } from "../../shared/adapters/targets.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { TunedSpec } from "../../shared/wire/tasks.js";

/** Names and shapes; the values do not matter. */
export type AdapterShapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;

const shown = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** Why tensors are not those of `expected`, or hold a number that is none; nothing where they are sound. */
export function flaw(tensors: NamedTensors, expected: AdapterShapes): string | undefined {
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
export function specFlaw(tensors: NamedTensors, spec: TunedSpec): string | undefined {
  if (tensors.size === 0) return "the update holds no tensors";
  // Of all weights it tells nothing: what most clients send is right.
  if (spec.kind === "full") return undefined;
  return isBottleneck(spec) ? bottleneckFlaw(tensors, spec) : loraFlaw(tensors, spec);
}

function loraFlaw(tensors: NamedTensors, { modules, rank }: LoraSettings): string | undefined {
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
