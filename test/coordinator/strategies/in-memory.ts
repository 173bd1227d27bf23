/**
 * The strategies written a second time, to compare with: every update in memory at once, no chunks, sums and sorts of plain arrays.
 * FedAvg, FedExP, FedAdam and FedYogi have the order of operations that results of earlier versions had, so that they can be held
 * to the last bit.
 */
import type { NamedTensors } from "../../../shared/base/tensors.js";

export interface Given {
  readonly examples: number;
  readonly tensors: NamedTensors;
}

export interface Memory {
  readonly first: ReadonlyMap<string, Float32Array>;
  readonly second: ReadonlyMap<string, Float32Array>;
  readonly rounds: number;
}

export interface Stepped {
  readonly values: Map<string, Float32Array>;
  readonly memory: Memory;
}

export function meanOf(updates: readonly Given[]): Map<string, Float32Array> {
  const total = updates.reduce((sum, { examples }) => sum + examples, 0);
  const mean = new Map<string, Float32Array>();
  for (const [name, { data }] of updates[0]!.tensors) {
    const sum = new Float64Array(data.length);
    for (const { tensors, examples } of updates) {
      const share = examples / total;
      tensors.get(name)!.data.forEach((value, i) => {
        sum[i] = sum[i]! + share * value;
      });
    }
    mean.set(name, Float32Array.from(sum));
  }
  return mean;
}

function squaredDistance(values: ReadonlyMap<string, Float32Array>, start: NamedTensors): number {
  let sum = 0;
  for (const [name, { data }] of start)
    for (const [i, from] of data.entries()) sum += (values.get(name)![i]! - from) ** 2;
  return sum;
}

const floats = (tensors: NamedTensors): Map<string, Float32Array> =>
  new Map(Array.from(tensors, ([name, { data }]) => [name, data]));

export function extrapolation(updates: readonly Given[], start: NamedTensors): number {
  const total = updates.reduce((sum, { examples }) => sum + examples, 0);
  const meanSquare = updates.reduce(
    (sum, { examples, tensors }) => sum + (examples / total) * squaredDistance(floats(tensors), start),
    0,
  );
  const squared = squaredDistance(meanOf(updates), start);
  return squared > 0 ? Math.min(updates.length, Math.max(1, meanSquare / (2 * squared))) : 1;
}

const none: Memory = { first: new Map(), second: new Map(), rounds: 0 };

/** The step with momentum from the start to a centre. */
export function alongCentre(
  centre: ReadonlyMap<string, Float32Array>,
  start: NamedTensors,
  { factor, momentum }: { factor: number; momentum: number },
  before: Memory = none,
): Stepped {
  const rounds = before.rounds + 1;
  const correction = 1 - momentum ** rounds;
  const values = new Map(centre);
  const first = new Map<string, Float32Array>();
  if (momentum === 0 && factor === 1) return { values, memory: none };
  for (const [name, { data: from }] of start) {
    const to = centre.get(name)!;
    const m = from.map((value, i) => {
      const moved = factor * (to[i]! - value);
      return momentum * (before.first.get(name)?.[i] ?? 0) + (1 - momentum) * moved;
    });
    values.set(
      name,
      from.map((value, i) => value + m[i]! / correction),
    );
    first.set(name, m);
  }
  return { values, memory: { first, second: new Map(), rounds } };
}

/** FedAdam's and FedYogi's step. */
export function adaptive(
  kind: "fedadam" | "fedyogi",
  mean: ReadonlyMap<string, Float32Array>,
  start: NamedTensors,
  { rate, momentum }: { rate: number; momentum: number },
  before: Memory = none,
): Stepped {
  const rounds = before.rounds + 1;
  const values = new Map(mean);
  const first = new Map<string, Float32Array>();
  const second = new Map<string, Float32Array>();
  for (const [name, { data: from }] of start) {
    const m = before.first.get(name)?.slice() ?? new Float32Array(from.length);
    const v = before.second.get(name)?.slice() ?? new Float32Array(from.length);
    const next = from.map((value, i) => {
      const moved = mean.get(name)![i]! - value;
      const square = moved * moved;
      const last = v[i]!;
      m[i] = momentum * m[i]! + (1 - momentum) * moved;
      v[i] =
        kind === "fedadam" ? 0.99 * last + (1 - 0.99) * square : last - (1 - 0.99) * square * Math.sign(last - square);
      return (
        value + (rate * (m[i]! / (1 - momentum ** rounds))) / (Math.sqrt(v[i]! / (1 - 0.99 ** rounds)) + 0.01 * rate)
      );
    });
    values.set(name, next);
    first.set(name, m);
    second.set(name, v);
  }
  return { values, memory: { first, second, rounds } };
}

/** One rule for each coordinate. */
export function byCoordinate(updates: readonly Given[], rule: (values: number[]) => number): Map<string, Float32Array> {
  return new Map(
    Array.from(updates[0]!.tensors, ([name, { data }]) => [
      name,
      data.map((_, i) => rule(updates.map(({ tensors }) => tensors.get(name)!.data[i]!))),
    ]),
  );
}

export const ascending = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);

/** Krum's scores by the definition: for each update the sum over its n - f - 2 nearest others. */
export function krumChoice(updates: readonly Given[], byzantine: number, keep: number): number[] {
  const flat = updates.map(({ tensors }) => [...tensors.values()].flatMap(({ data }) => Array.from(data)));
  const scored = flat.map((a, i) => {
    const distances = flat
      .filter((_, j) => j !== i)
      .map((b) => a.map((value, k) => value - b[k]!).reduce((sum, d) => sum + d * d, 0));
    const score = ascending(distances)
      .slice(0, updates.length - byzantine - 2)
      .reduce((sum, d) => sum + d, 0);
    return { i, score };
  });
  return ascending(
    scored
      .sort((a, b) => a.score - b.score || a.i - b.i)
      .slice(0, keep)
      .map(({ i }) => i),
  );
}
