/** Options of federated training. */
import { z } from "zod";
import { auto, block, whole } from "./fields.js";
import { strategy } from "./strategies.js";

export const learningRate = auto(z.number().positive().max(10));

export const training = block({
  epochs: z.number().positive().max(10_000).default(3).describe("Passes over each client's training rows."),
  batch: whole(1, 4096).default(8).describe("Rows per training step."),
  learningRate: learningRate.describe(
    "Learning rate of the clients' optimizer (AdamW). auto: a short sweep on the shared adapter, by pooled validation loss; every method uses its result.",
  ),
  localSteps: whole(1, 1_000_000)
    .default(20)
    .describe(
      "Most steps that a client takes between two averages. Fewer are taken where a training would have fewer than 32 averages.",
    ),
  strategy,
  weightDecay: z
    .number()
    .min(0)
    .max(10)
    .default(0)
    .describe("Weight decay, decoupled from the gradient as in AdamW. 0: no decay."),
  warmup: z
    .number()
    .min(0)
    .max(1)
    .default(0.1)
    .describe("Share of the steps in which the learning rate rises from zero. 0: no warm-up."),
  clipNorm: z
    .number()
    .positive()
    .default(1)
    .describe("Largest L2 norm of a step's gradient. Longer gradients are scaled to it."),
}).describe("Training of the adapters, the same for all methods of a run.");
