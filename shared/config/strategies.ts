/** Options of the strategies, one block per kind: the one home of their bounds, defaults and descriptions. */
import { z } from "zod";
import { MAX_CLIENTS } from "../base/limits.js";
import { auto, whole } from "./fields.js";

const rate = auto(z.number().positive().max(100));
const decay = auto(z.number().min(0).lt(1));

/** The coordinator's step from a round's start to the centre that the strategy found. */
const plainStep = {
  learningRate: rate.describe(
    "Factor on the coordinator's step. auto: 1, but the clients' learning rate for fedadam and fedyogi.",
  ),
  momentum: decay.describe(
    "Decay of the running mean of steps that the coordinator follows. 0: the last step alone. auto: 0.5, but 0.9 for fedadam and fedyogi.",
  ),
};

const kind = <K extends string>(name: K, what: string) => z.literal(name).describe(`${name}: ${what}`);

const KINDS = [
  z.strictObject({
    // Optional too: a block without a kind is of this kind.
    kind: z
      .literal("fedavg")
      .optional()
      .default("fedavg")
      .describe("What a round makes of its clients' updates. fedavg: their mean, weighted by examples."),
    ...plainStep,
  }),
  z.strictObject({
    kind: kind("fedprox", "the mean, of clients that are held near the round's start."),
    ...plainStep,
    mu: z
      .number()
      .min(0)
      .max(1e6)
      .default(0.01)
      .describe(
        "Strength of the clients' proximal term: they add mu / 2 times the squared distance from the round's start to their loss. 0: no term.",
      ),
  }),
  z.strictObject({ kind: kind("fedexp", "a longer step along the mean where updates differ."), ...plainStep }),
  z.strictObject({ kind: kind("fedadam", "a step of Adam along the mean."), ...plainStep }),
  z.strictObject({ kind: kind("fedyogi", "a step of Yogi along the mean."), ...plainStep }),
  z.strictObject({ kind: kind("median", "the median of each coordinate, without weights."), ...plainStep }),
  z.strictObject({
    kind: kind("trimmed-mean", "the mean of each coordinate without its extreme values, without weights."),
    ...plainStep,
    trim: z
      .number()
      .min(0)
      .lt(0.5)
      .default(0.1)
      .describe("Share of a coordinate's values that is dropped on each side. Rounded down to whole updates."),
  }),
  z.strictObject({
    kind: kind("krum", "the updates that are nearest to the others, without weights."),
    ...plainStep,
    byzantine: auto(whole(0, MAX_CLIENTS)).describe(
      "Hostile updates that a round bears. At most (n - 3) / 2 of its n updates are assumed. auto: as many. A round of fewer than 3 updates takes all of them.",
    ),
    keep: whole(1, MAX_CLIENTS)
      .default(1)
      .describe("Updates with the best scores that are averaged. 1: Krum. More: multi-Krum."),
  }),
  z.strictObject({
    kind: kind("norm-bounded", "the weighted mean of updates that are shortened to a norm."),
    ...plainStep,
    clipNorm: auto(z.number().positive()).describe(
      "L2 norm that longer updates are shortened to. auto: the median norm of the round's updates.",
    ),
  }),
  z.strictObject({
    kind: kind("custom", "a strategy of the program's own."),
    name: z
      .string()
      .min(1)
      .max(64)
      .describe("Name of one of the strategies that the program gave to simulate, startCoordinator or openRun."),
  }),
] as const;

export const strategy = z
  .discriminatedUnion("kind", KINDS)
  .prefault({})
  .describe("What a round makes of its clients' updates. Each kind has its own options.");

/** What a configuration says of a training's strategy. */
export type StrategySettings = z.output<(typeof KINDS)[number]>;
