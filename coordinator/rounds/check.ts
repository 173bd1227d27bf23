/**
 * What a client sent as an adapter's values, held against what it should be: names, shapes, finite numbers, and no farther from
 * the start than its steps can have taken it. The coordinator knows no model; it knows an adapter's specification, and the names
 * and shapes that a run has seen. Values are read once, in chunks.
 */
import { bottleneckError, isDownProjection } from "../../shared/adapters/bottleneck.js";
import { isBottleneck, type LoraSettings } from "../../shared/adapters/settings.js";
import { isTarget } from "../../shared/adapters/targets.js";
import type { TunedSpec } from "../../shared/wire/types.js";
import type { TrainingSpec } from "../../tasks/train-adapter/message.js";
import type { EventLoopYield } from "../algebra/yield.js";
import {
  CHUNK_VALUES,
  chunksOf,
  largestChunk,
  type TensorShapes,
  type TensorSource,
  zeroTensors,
} from "../strategies/tensors.js";

const shown = (shape: readonly number[]): string => `[${shape.join(", ")}]`;

/** Why names and shapes are not those of `expected`; nothing where they are. */
export function shapeError(shapes: TensorShapes, expected: TensorShapes): string | undefined {
  for (const [name, { shape }] of expected) {
    const tensor = shapes.get(name);
    if (tensor === undefined) return `the update lacks the tensor ${name}`;
    if (tensor.shape.length !== shape.length || tensor.shape.some((dim, axis) => dim !== shape[axis])) {
      return `tensor ${name} has shape ${shown(tensor.shape)}, should be ${shown(shape)}`;
    }
  }
  for (const name of shapes.keys()) if (!expected.has(name)) return `tensor ${name} is not part of the adapter`;
  return undefined;
}

/** Names and shapes, as one comparable text. */
export function signatureOf(shapes: TensorShapes): string {
  return JSON.stringify([...shapes].map(([name, { shape }]) => [name, ...shape]).sort());
}

/**
 * Why tensors cannot be a whole adapter of this specification, as far as it tells: names, pairs, the rank or the bottleneck's
 * width. For the first values of a run, when nothing is there to compare with.
 */
export function specError(shapes: TensorShapes, spec: TunedSpec): string | undefined {
  if (shapes.size === 0) return "the update holds no tensors";
  // Of all weights it tells nothing: the names and shapes that most clients send are right.
  if (spec.kind === "full") return undefined;
  return isBottleneck(spec) ? bottleneckError(shapes, spec) : loraError(shapes, spec);
}

function loraError(shapes: TensorShapes, { modules, rank }: LoraSettings): string | undefined {
  for (const [name, { shape }] of shapes) {
    const [, linear, factor] = /^(.+)\.lora_([AB])\.weight$/.exec(name) ?? [];
    if (linear === undefined || (modules.length > 0 && !isTarget(linear, modules))) {
      return `tensor ${name} is not part of the adapter`;
    }
    const partner = `${linear}.lora_${factor === "A" ? "B" : "A"}.weight`;
    if (!shapes.has(partner)) return `the update lacks the tensor ${partner}`;
    if (shape.length !== 2 || shape[factor === "A" ? 0 : 1] !== rank) {
      return `tensor ${name} has shape ${shown(shape)}, should have rank ${rank}`;
    }
  }
  return undefined;
}

/** A fresh adapter draws this tensor from its seed; where only the rest is trained, it stays so. */
export const isDrawn = (name: string): boolean => name.endsWith(".lora_A.weight") || isDownProjection(name);

/** What clients without a start began with, as far as it is known: in an adapter, all that is not drawn is zero. */
export function freshStart(shapes: TensorShapes, { kind }: Pick<TunedSpec, "kind">): TensorSource {
  if (kind === "full") return zeroTensors(new Map());
  return zeroTensors(new Map([...shapes].filter(([name]) => !isDrawn(name))));
}

/**
 * The most that AdamW with betas of 0.9 and 0.999 moves a coordinate per step, in learning rates: (1 - b1) / sqrt(1 - b2) /
 * sqrt(1 - b1^2 / b2) = 7.27, by the inequality of Cauchy and Schwarz on the two moments. Steps of real training move it by 1.
 */
const LONGEST_STEP = 7.3;

/** Steps that an update is the result of. */
export type UpdateSteps = Pick<TrainingSpec, "learningRate" | "weightDecay" | "steps">;

/**
 * How far a coordinate can be from its start after so many steps; nothing where there is no bound. Without it one client could
 * carry the others' average as far off as it likes. A tensor that the start lacks began with fresh values, none of which is larger
 * than 1.
 */
function updateBound({ learningRate, weightDecay, steps }: UpdateSteps) {
  // Decay that overshoots zero grows without a bound.
  if (learningRate * weightDecay > 1) return undefined;
  const reach = LONGEST_STEP * learningRate * steps;
  const decay = weightDecay * learningRate * steps;
  // The last term is float32's rounding.
  const known = (begun: number): number => reach + decay * (Math.abs(begun) + reach) + 1e-6 * Math.abs(begun);
  // The fresh value itself is not known, so that all of it may be the distance.
  const fresh = reach + decay * (1 + reach) + 1;
  return { known, fresh };
}

export interface ValuesToCheck {
  readonly values: TensorSource;
  readonly start: TensorSource;
  /** Absent where the start is not known at all, and any finite value may be right. */
  readonly steps?: UpdateSteps | undefined;
  readonly yieldToEventLoop: EventLoopYield;
  /** Elements per chunk. @default CHUNK_VALUES */
  readonly chunkValues?: number;
  /** Reused from update to update. @default new ones */
  readonly buffers?: CheckBuffers;
}

/** Room for one chunk of values, and for one of their start. */
export class CheckBuffers {
  readonly ended: Float32Array;
  readonly begun: Float32Array;

  constructor(values: number) {
    this.ended = new Float32Array(values);
    this.begun = new Float32Array(values);
  }
}

/**
 * Reads an update once, beside its start, and holds every value against the bounds. Names and shapes must be right already.
 * @returns why it is refused, or its squared distance from the start over the start's tensors, summed in float64
 */
export async function checkValues({
  values,
  start,
  steps,
  yieldToEventLoop,
  chunkValues = CHUNK_VALUES,
  buffers = new CheckBuffers(largestChunk(values.shapes, chunkValues)),
}: ValuesToCheck): Promise<{ readonly reason: string } | { readonly squaredDistance: number }> {
  const bound = steps && updateBound(steps);
  const { ended, begun } = buffers;
  let squaredDistance = 0;
  // In the start's order: a sum's last digit depends on it.
  const order: TensorShapes = new Map([...start.shapes, ...values.shapes]);
  for (const { name, from, count } of chunksOf(order, chunkValues)) {
    const known = start.shapes.has(name);
    const to = ended.subarray(0, count);
    await values.read(name, from, to);
    if (known) await start.read(name, from, begun.subarray(0, count));
    for (let i = 0; i < count; i++) {
      const value = to[i] as number;
      if (!Number.isFinite(value)) return { reason: `tensor ${name} holds ${value} at element ${from + i}` };
      const began = known ? (begun[i] as number) : 0;
      const moved = value - began;
      if (bound !== undefined && Math.abs(moved) > (known ? bound.known(began) : bound.fresh)) {
        const reached = `${steps?.steps} steps at a learning rate of ${steps?.learningRate}`;
        return {
          reason: `tensor ${name} holds ${value} at element ${from + i}, farther from its start than ${reached} can take it`,
        };
      }
      if (known) squaredDistance += moved ** 2;
    }
    const turn = yieldToEventLoop();
    if (turn !== undefined) await turn;
  }
  return { squaredDistance };
}
