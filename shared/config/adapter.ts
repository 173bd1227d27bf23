/** Options of the base model's form and of the adapters that are trained on it. */
import { z } from "zod";
import { BOTTLENECK_ACTIVATIONS, BOTTLENECK_KINDS, FULL } from "../adapters/settings.js";
import { QUANTIZATIONS } from "../quantization/layout.js";
import { MAX_MODULES } from "../wire/limits.js";
import { block } from "./fields.js";

export const base = block({
  quantization: z
    .enum(["none", ...QUANTIZATIONS])
    .default("none")
    .describe(
      "Form of the base model's linear layers while adapters are trained on them. none: float32. nf4: four bits with double quantization, as in QLoRA. int4: four bits in blocks of 32. nf3 and nf2: three and two bits. Embedding, norms and head stay as they are. A deployed client has --quantization in place of this option.",
    ),
}).describe("The frozen base model.");

const lora = z.strictObject({
  // Optional too: a block without a kind is of this kind.
  kind: z
    .literal("lora")
    .optional()
    .default("lora")
    .describe("Kind of adapter. lora: a low-rank term beside a linear layer."),
  rank: z
    .number()
    .int()
    .min(1)
    .max(1024)
    .default(16)
    .describe("Rank of the low-rank term. An adapted layer trains rank numbers per input and per output."),
  alpha: z
    .number()
    .positive()
    .max(1e6)
    .default(32)
    .describe("Scale of the low-rank term: the update is multiplied by alpha / rank."),
  modules: z
    .array(z.string().min(1))
    .max(MAX_MODULES)
    .default([])
    .describe(
      "Linear layers to adapt, by name or by the end of the name (q_proj, attn.c_proj). Empty: the attention projections of the model's family.",
    ),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Share of an adapted layer's inputs that training drops. 0: no dropout."),
  freezeA: z
    .boolean()
    .default(true)
    .describe(
      "Trains the second factor B alone, as in FFA-LoRA. Averages of updates are then exact, and an update has half the bytes.",
    ),
  rslora: z
    .boolean()
    .default(false)
    .describe(
      "Multiplies the update by alpha / sqrt(rank) instead of alpha / rank, so that high ranks learn as fast as low ones (rsLoRA, Kalajdzievski 2023).",
    ),
});

const bottleneck = z.strictObject({
  kind: z
    .enum(BOTTLENECK_KINDS)
    .describe(
      "houlsby: a bottleneck behind attention and one behind the feed-forward layer of every block. pfeiffer: one behind the feed-forward layer.",
    ),
  reduction: z
    .number()
    .min(1)
    .max(1e6)
    .default(16)
    .describe("The model's hidden size divided by the width of the bottleneck. The width is rounded down."),
  activation: z
    .enum(BOTTLENECK_ACTIVATIONS)
    .default("relu")
    .describe("Function between the two layers of the bottleneck. gelu is the exact one, swish is x * sigmoid(x)."),
  dropout: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe("Share of the bottleneck's outputs that training drops. 0: no dropout."),
  freezeA: z
    .boolean()
    .default(true)
    .describe(
      "Trains the second layer of the bottleneck alone. Averages of updates are then exact, and an update has half the bytes.",
    ),
});

export const adapter = z
  .discriminatedUnion("kind", [lora, bottleneck], {
    error: ({ input }) =>
      (input as { kind?: unknown }).kind === FULL.kind
        ? "to compare with training of all weights, write compare: [full]"
        : undefined,
  })
  .prefault({})
  .describe("The adapter that every group trains. Each kind has its own options.");
