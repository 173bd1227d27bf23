/** Options of the sketches and of the estimate that is made from them. */
import { z } from "zod";
import { MAX_CLIENTS } from "../base/limits.js";
import { MARGINS, MOST_NUMBERS, MOST_PROJECTIONS } from "../sketch/types.js";
import { BALANCES, DESIGNS } from "./enumerations.js";
import { auto, block, refuse, whole } from "./fields.js";

export const estimation = block({
  subsets: auto(whole(1, 100_000)).describe(
    "Random subsets of clients whose joint training is estimated. auto: as many as cover every pair of clients 8 times on average, at most 2000; or as standardError asks.",
  ),
  subsetSize: auto(whole(2, MAX_CLIENTS)).describe(
    "Clients per subset. auto: the square root of the number of clients, at least 2; or as standardError asks.",
  ),
  design: z
    .enum(DESIGNS)
    .default("balanced")
    .describe(
      "How subsets are drawn. balanced: any two clients are together about equally often. uniform: each subset is drawn without regard to the others. pairs: every pair of clients is one subset.",
    ),
  standardError: auto(z.number().positive()).describe(
    "Standard error of an affinity to reach, in nats, in place of a number of subsets. The run takes the smallest subsets that need no more work than the default ones, and adds subsets until the error is reached or 20000 are drawn. auto: no such goal.",
  ),
  balance: z
    .enum(BALANCES)
    .default("none")
    .describe(
      "How much a client counts in the estimate. none: as many rows as it has. down: at most as many rows as the median client. up: as many rows as the largest client. Training counts the rows of each client in any case.",
    ),
  dim: whole(1, 16_384)
    .default(400)
    .describe(
      "Numbers per sketched gradient. Of wider sketches the estimate keeps the leading 400 principal axes, so that they cost bytes and next to no time: estimates of ten text sets err by 25.8 % at 400, 24.2 % at 800 and 22.0 % at 1600. Worth it for few clients with many rows.",
    ),
  projections: whole(1, MOST_PROJECTIONS)
    .default(1)
    .describe(
      "Independent sketches per gradient, of dim numbers each. Each is solved by itself and their margins are averaged. Raise dim first: one wide sketch costs the same as several narrow ones, and where rows have choices it errs less (six real sets: by 0.39 nats with one sketch of 400, by 0.71 nats with four of 100).",
    ),
  labels: z
    .boolean()
    .default(false)
    .describe(
      "Clients tell which of their validation rows have the same right answer and which wrong answers compete with it, so that macro-F1 can be estimated. PRIVACY.md says what this reveals.",
    ),
  examplesPerClient: whole(1, 100_000).default(200).describe("Most rows of a split that a client sketches."),
  lambda: auto(z.union([z.number().positive(), z.array(z.number().positive()).min(1).max(32)])).describe(
    "Ridge penalty of the estimate, relative to the mean squared norm of the sketched gradients. Of a list, every subset takes the penalty that serves held-out rows best. auto: a list of four, a factor of 10 apart.",
  ),
  calibrate: z
    .boolean()
    .default(false)
    .describe(
      "Brings estimated losses to the level of real ones. The run trains each client's own adapter and one adapter for all first, as compare does anyway, and fits the estimates to their losses. Groups then also serve clients that have too few rows to train alone. For rows with choices.",
    ),
  margin: z
    .enum(["auto", ...MARGINS])
    .default("auto")
    .describe(
      "What an answer is compared with. answer: the whole vocabulary. two-term: format and choice apart, the choice against all other choices together. negatives: the choice against each strong wrong choice, the format against answers of other clients, whose first tokens the clients therefore reveal. auto: negatives where rows have choices.",
    ),
})
  .superRefine(({ dim, projections }, context) => {
    const most = Math.floor(MOST_NUMBERS / dim);
    if (projections > most) {
      refuse(context, `too large where dim is ${dim}; expected at most ${most} (${MOST_NUMBERS} numbers per sketch)`, {
        path: ["projections"],
        advice: "lower dim or projections",
      });
    }
  })
  .describe("Sketches of gradients, and the estimate of how clients fare when they train together.");
