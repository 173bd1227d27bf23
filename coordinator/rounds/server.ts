/**
 * How far, and along which coordinates, the average of a round's updates moves the adapter. Averages of clients that differ are
 * short: n updates at right angles to each other leave 1 / sqrt(n) of an update's length, and 1 / n of what each did for its own
 * client. A server optimiser takes the average as a direction instead:
 *
 * - fedavg: the average itself (McMahan et al. 2017; with momentum: Hsu, Qi, Brown 2019, arXiv 1909.06335).
 * - fedexp: the average, extrapolated by half of what the updates are longer than it, squared (Jhunjhunwala, Wang, Joshi 2023,
 *   arXiv 2301.09604). Beside the average it needs one number a client: the squared length of its update.
 * - fedadam, fedyogi: the average as the gradient of Adam or Yogi (Reddi et al. 2021, arXiv 2003.00295).
 *
 * Movements are taken as a running mean (momentum), corrected for its beginning at zero as Adam's is: runs have tens of rounds. It
 * is the sum's form divided by 1 / (1 - momentum), so that momentum changes no step's length in the long run, and a learning rate
 * found for one serves clients that train alone as well.
 *
 * Pure: what one round leaves for the next is its state. It knows neither clients nor models.
 */

import type { FloatTensor, NamedTensors } from "../../shared/base/tensors.js";
import type { ServerOptimizer } from "../../shared/config/enumerations.js";
import type { Update } from "./aggregate.js";

export interface ServerPlan {
  readonly optimizer: ServerOptimizer;
  /** A factor on the steps of fedavg and fedexp; what fedadam and fedyogi move a coordinate that keeps its direction. */
  readonly learningRate: number;
  /** Decay of the running mean of movements, from 0 (the last one alone) to below 1; Adam's beta1. */
  readonly momentum: number;
}

/** What a round's clients did, before the server's step. */
export interface Movement {
  /** What they started from. A tensor that is not among it is new, and the mean is taken as it is. */
  readonly start: NamedTensors;
  /** Weighted mean of what they ended with. */
  readonly mean: NamedTensors;
  /** Weighted mean of their squared distances from the start; fedexp's alone. */
  readonly meanSquare: number;
  /** Their number. */
  readonly clients: number;
}

/** What a round leaves for the next. */
export interface ServerState {
  /** Running mean of movements. */
  readonly first: NamedTensors;
  /** Running mean of squared movements; fedadam's and fedyogi's alone. */
  readonly second?: NamedTensors;
  /** Rounds that are in them. */
  readonly rounds: number;
}

export interface ServerStep {
  readonly values: NamedTensors;
  /** Absent where nothing is to be remembered. */
  readonly state: ServerState | undefined;
}

/**
 * Where nothing is given. Five text sets on stories3M, 16 rounds of a step: test loss 1.28 without momentum and 0.96 with it, of
 * fedexp 1.28 and 1.03. Without the correction 0.89 with 0.5 and 0.96 with 0.7. The adaptive ones' is the paper's.
 */
export const MOMENTUM = { fedavg: 0.5, fedexp: 0.5, fedadam: 0.9, fedyogi: 0.9 } as const;

/** As in the paper's experiments. */
const BETA2 = 0.99;
/**
 * A coordinate that moves less than this share of the learning rate counts as still (the paper's tau, which is absolute there:
 * as a share it need not be chosen anew for each learning rate).
 */
const ADAPTIVITY = 0.01;

export function serverStep(plan: ServerPlan, movement: Movement, state: ServerState | undefined): ServerStep {
  switch (plan.optimizer) {
    case "fedavg":
      return momentumStep(plan, plan.learningRate, movement, state);
    case "fedexp":
      return momentumStep(plan, plan.learningRate * extrapolation(movement), movement, state);
    case "fedadam":
    case "fedyogi":
      return adaptiveStep(plan, movement, state);
  }
}

/**
 * FedExP's factor: at least 1; half the number of clients where their updates are equally long and at right angles; at most that
 * number, where they contradict each other and the mean is next to nothing (in the paper a constant, to be tuned, bounds it).
 */
export function extrapolation({ start, mean, meanSquare, clients }: Movement): number {
  const squared = squaredDistance(mean, start);
  return squared > 0 ? Math.min(clients, Math.max(1, meanSquare / (2 * squared))) : 1;
}

/** Squared distance of values from a start, over the start's tensors, summed in float64. */
export function squaredDistance(values: NamedTensors, start: NamedTensors): number {
  let sum = 0;
  for (const [name, { data: from }] of start) {
    const to = (values.get(name) as FloatTensor).data;
    for (let i = 0; i < from.length; i++) sum += ((to[i] as number) - (from[i] as number)) ** 2;
  }
  return sum;
}

/** Mean of the updates' squared distances from the start, weighted by examples. */
export function meanSquare(updates: readonly Update[], start: NamedTensors): number {
  const total = updates.reduce((sum, { examples }) => sum + examples, 0);
  return updates.reduce((sum, { examples, tensors }) => sum + (examples / total) * squaredDistance(tensors, start), 0);
}

/** The running mean of the movements, each times its round's factor. */
function momentumStep(
  { momentum }: ServerPlan,
  factor: number,
  { start, mean }: Movement,
  state: ServerState | undefined,
): ServerStep {
  // The mean to its last digit, which a detour over the difference would round.
  if (momentum === 0 && factor === 1) return { values: mean, state: undefined };
  const rounds = (state?.rounds ?? 0) + 1;
  const correction = 1 - momentum ** rounds;
  const values = new Map(mean);
  const first = new Map<string, FloatTensor>();
  for (const [name, { shape, data: from }] of start) {
    const to = (mean.get(name) as FloatTensor).data;
    const before = state?.first.get(name)?.data;
    const m = from.map((value, i) => {
      const moved = factor * ((to[i] as number) - value);
      return momentum * (before?.[i] ?? 0) + (1 - momentum) * moved;
    });
    values.set(name, { shape, data: from.map((value, i) => value + (m[i] as number) / correction) });
    first.set(name, { shape, data: m });
  }
  return { values, state: momentum === 0 ? undefined : { first, rounds } };
}

/** With Adam's corrections, as above; the paper leaves them out. */
function adaptiveStep(
  { optimizer, learningRate, momentum }: ServerPlan,
  { start, mean }: Movement,
  state: ServerState | undefined,
): ServerStep {
  const rounds = (state?.rounds ?? 0) + 1;
  const correction1 = 1 - momentum ** rounds;
  const correction2 = 1 - BETA2 ** rounds;
  const still = ADAPTIVITY * learningRate;
  const values = new Map(mean);
  const first = new Map<string, FloatTensor>();
  const second = new Map<string, FloatTensor>();
  for (const [name, { shape, data: from }] of start) {
    const to = (mean.get(name) as FloatTensor).data;
    const m = state?.first.get(name)?.data.slice() ?? new Float32Array(from.length);
    const v = state?.second?.get(name)?.data.slice() ?? new Float32Array(from.length);
    values.set(name, {
      shape,
      data: from.map((value, i) => {
        const moved = (to[i] as number) - value;
        const square = moved * moved;
        const before = v[i] as number;
        m[i] = momentum * (m[i] as number) + (1 - momentum) * moved;
        v[i] =
          optimizer === "fedadam"
            ? BETA2 * before + (1 - BETA2) * square
            : before - (1 - BETA2) * square * Math.sign(before - square);
        return value + (learningRate * (m[i] / correction1)) / (Math.sqrt(v[i] / correction2) + still);
      }),
    });
    first.set(name, { shape, data: m });
    second.set(name, { shape, data: v });
  }
  return { values, state: { first, second, rounds } };
}
