/**
 * The options of a configuration file: their types, bounds, defaults and words, once, for the check, for the plan and
 * for editors. Knows no file. What a run measures before it can decide (the number of groups, of subsets, the learning
 * rate) stays "auto" in the plan.
 */
import { z } from "zod";
import { BOTTLENECK_ACTIVATIONS, BOTTLENECK_KINDS, FULL } from "../adapters/settings.js";
import { contradiction } from "../base/group-constraints.js";
import { QUANTIZATIONS } from "../quantization/layout.js";
import { DEVICES, RUNTIME_KINDS } from "../runtimes/types.js";
import { MARGINS, MOST_NUMBERS, MOST_PROJECTIONS } from "../sketch/types.js";
import { BALANCES, COMPARED, DESIGNS, GROUPINGS, METHODS, SERVER_OPTIMIZERS } from "./enumerations.js";
import { parseTemplate } from "./format.js";

const whole = (min: number, max: number) => z.number().int().min(min).max(max);
/** A union says in words what it takes: the messages of its branches contradict each other. */
const auto = <T extends z.ZodType>(other: T, words: string) =>
  z.union([z.literal("auto"), other], { error: `must be auto or ${words}` });
/** A block may be left out as a whole, and then has its fields' defaults. */
const block = <T extends z.ZodRawShape>(shape: T) => z.strictObject(shape).prefault({} as never);

const template = z.string().superRefine((text, context) => {
  try {
    parseTemplate(text);
  } catch (error) {
    context.addIssue({ code: "custom", message: (error as Error).message });
  }
});

/** How objects and CSV rows become prompts and completions. */
const rowFormat = {
  template: template.min(1).optional().describe("Prompt of a row, its fields in braces: 'Text: {text}\\nAnswer:'"),
  completion: template
    .min(1)
    .optional()
    .describe("Completion of a row, its fields in braces; for answers in free text, in place of choices"),
  choices: z
    .record(z.string(), z.string().min(1))
    .refine((map) => new Set(Object.values(map)).size >= 2, "must hold at least two different completions")
    .optional()
    .describe("Completion of each value of the label: {0: ' no', 1: ' yes'}"),
  label: z.string().min(1).optional().describe("Field that holds the label; label, then label_text, unless given"),
};

const base = block({
  quantization: z
    .enum(["none", ...QUANTIZATIONS])
    .default("none")
    .describe("Form of the base model's linears while adapters are trained on them; nf4 is QLoRA's"),
});

const lora = z.strictObject({
  // Optional too: what has no kind is of this one.
  kind: z.literal("lora").optional().default("lora"),
  rank: whole(1, 1024).default(16),
  alpha: z.number().positive().max(1e6).default(32).describe("The update is scaled by alpha / rank; see rslora"),
  modules: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Linears to adapt, by name or its end (q_proj, attn.c_proj); empty: the attention projections of the model's family",
    ),
  dropout: z.number().min(0).lt(1).default(0).describe("Share of a linear's inputs dropped in training"),
  freezeA: z
    .boolean()
    .default(true)
    .describe("Train B alone: averages of updates are then exact, and half the bytes travel (FFA-LoRA)"),
  rslora: z
    .boolean()
    .default(false)
    .describe("Scale the update by alpha / sqrt(rank), so that high ranks learn as fast as low ones (rsLoRA)"),
});

const bottleneck = z.strictObject({
  kind: z
    .enum(BOTTLENECK_KINDS)
    .describe("houlsby: behind attention and feed-forward of every block; pfeiffer: behind the feed-forward alone"),
  reduction: z.number().min(1).max(1e6).default(16).describe("A bottleneck has hidden size / reduction numbers"),
  activation: z.enum(BOTTLENECK_ACTIVATIONS).default("relu"),
  dropout: z.number().min(0).lt(1).default(0).describe("Share of the adapter's output dropped in training"),
  freezeA: z
    .boolean()
    .default(true)
    .describe("Train the way up alone: averages of updates are then exact, and half the bytes travel"),
});

const adapter = z
  .discriminatedUnion("kind", [lora, bottleneck], {
    error: ({ input }) =>
      `must be lora or ${BOTTLENECK_KINDS.join(" or ")}${
        (input as { kind?: unknown }).kind === FULL.kind
          ? " (all weights are trained to compare with: compare: [full])"
          : ""
      }`,
  })
  .prefault({});

const rate = auto(z.number().positive().max(10), "a number above 0 and at most 10").default("auto");

const server = block({
  optimizer: z
    .enum(SERVER_OPTIMIZERS)
    .default("fedavg")
    .describe("What a round's average becomes: itself, a longer step where updates differ, or a step of Adam or Yogi"),
  learningRate: auto(z.number().positive().max(100), "a number above 0 and at most 100")
    .default("auto")
    .describe("Factor on that step; auto: 1, and for fedadam and fedyogi the clients' learning rate"),
  momentum: auto(z.number().min(0).lt(1), "a number from 0 to below 1")
    .default("auto")
    .describe(
      "Decay of the running mean of averages that the step follows; 0: the last alone; auto: 0.5, but 0.9 for fedadam and fedyogi",
    ),
});

const training = block({
  epochs: z.number().positive().max(10_000).default(3).describe("Passes over each client's training rows"),
  batch: whole(1, 4096).default(8).describe("Rows a step"),
  learningRate: rate.describe("auto: a short sweep on the shared adapter, by pooled validation loss"),
  localSteps: whole(1, 1_000_000)
    .default(20)
    .describe("Most steps a client takes between two averages; fewer where there would be less than 32 averages"),
  server,
  weightDecay: z.number().min(0).max(10).default(0).describe("Decoupled, as in AdamW"),
  warmup: z.number().min(0).max(1).default(0.1).describe("Share of the steps in which the learning rate rises"),
  clipNorm: z.number().positive().default(1).describe("Largest L2 norm of a step's gradient"),
});

const estimation = block({
  subsets: auto(whole(1, 100_000), "a whole number from 1 to 100000")
    .default("auto")
    .describe("Random subsets of clients whose joint training is estimated"),
  subsetSize: auto(whole(2, 10_000), "a whole number from 2 to 10000")
    .default("auto")
    .describe("Clients a subset; auto: the root of their number, or by standardError"),
  dim: whole(1, 16_384)
    .default(400)
    .describe("Entries of a sketched gradient; of more than 400 the estimate keeps the leading 400 principal axes"),
  projections: whole(1, MOST_PROJECTIONS)
    .default(1)
    .describe(
      "Independent sketches of each gradient, of dim entries each, solved one by one and their margins averaged; where rows have choices a larger dim errs less at the same cost",
    ),
  labels: z
    .boolean()
    .default(false)
    .describe(
      "Clients say which of their validation rows have the same right answer, and which negatives it has, for an estimate of macro-F1",
    ),
  examplesPerClient: whole(1, 100_000).default(200).describe("Most training rows a client sketches"),
  design: z
    .enum(DESIGNS)
    .default("balanced")
    .describe(
      "balanced: pairs of clients about equally often together; uniform: subsets drawn without regard to each other; pairs: all pairs, each once",
    ),
  standardError: auto(z.number().positive(), "a number above 0")
    .default("auto")
    .describe(
      "Of an affinity, nats, in place of a number of subsets: the smallest subsets that reach it for the default's work, added until they do",
    ),
  balance: z
    .enum(BALANCES)
    .default("none")
    .describe(
      "What a client counts for in the estimate: none: its training rows; down: at most as many as the median client; up: as many as the largest",
    ),
  lambda: auto(
    z.union([z.number().positive(), z.array(z.number().positive()).min(1).max(32)]),
    "a number above 0, or a list of 1 to 32 of them",
  )
    .default("auto")
    .describe(
      "Ridge penalty, relative to the mean squared norm of the sketched gradients; of a list every subset takes the best on held-out rows",
    ),
  calibrate: z
    .boolean()
    .default(false)
    .describe(
      "Each client's own adapter and one for all are trained first, and estimated losses are brought to the level of their real ones",
    ),
  margin: z
    .enum(["auto", ...MARGINS])
    .default("auto")
    .describe(
      "answer: over the whole vocabulary; two-term: format and choice apart; negatives: choice against each strong negative, format against what other clients answer; auto: negatives where rows have choices",
    ),
}).superRefine(({ dim, projections }, context) => {
  const most = Math.floor(MOST_NUMBERS / dim);
  if (projections > most)
    context.addIssue({
      code: "custom",
      path: ["projections"],
      message: `must be at most ${most} where dim is ${dim}: a sketch has at most ${MOST_NUMBERS} numbers`,
    });
});

const groups = auto(whole(1, 10_000), "a whole number of groups from 1 to 10000").default("auto");
const clientLists = z
  .array(z.array(z.string().min(1).max(200)).min(2).max(10_000))
  .max(10_000)
  .default([]);
const grouping = block({
  method: z
    .enum(GROUPINGS)
    .default("kindred")
    .describe("kindred: what the estimator judges best; the others are baselines to compare with"),
  minSize: whole(1, 100_000).default(1).describe("Fewest clients a group may have"),
  maxSize: whole(1, 100_000).optional().describe("Most clients a group may have; no bound unless given"),
  together: clientLists.describe("Lists of clients, by name, that must share a group: [[a, b], [c, d, e]]"),
  apart: clientLists.describe("Lists of clients, by name, no two of which may share a group"),
}).superRefine((constraints, context) => {
  const message = contradiction(constraints);
  if (message !== undefined) context.addIssue({ code: "custom", message: `must be possible (${message})` });
});
const boosting = block({
  rounds: whole(0, 100).default(1).describe("Boosting adapters, each for the group that fits worst"),
});
const ensemble = block({
  strength: auto(z.number().min(0), "a number of at least 0")
    .default("auto")
    .describe("How strongly a client's weights are drawn to its own group's member"),
});

const runtime = block({
  kind: z.enum(RUNTIME_KINDS).default("auto").describe("Executor of the graphs: ONNX Runtime or TensorFlow.js"),
  device: z.enum(DEVICES).default("auto").describe("What it computes on; gpu: whichever kind of GPU works"),
  threads: auto(whole(1, 1024), "a whole number of threads from 1 to 1024")
    .default("auto")
    .describe("Threads of a matrix product; auto: one a processor"),
});

/** What a run does, in a simulation as in a deployment. */
export const runSchema = z.strictObject({
  base,
  adapter,
  training,
  estimation,
  groups: groups.describe("Number of groups; auto: chosen by the estimator, one group being a candidate"),
  grouping,
  boosting,
  ensemble,
  seed: whole(0, Number.MAX_SAFE_INTEGER).default(0).describe("Same seed, same result"),
});

const populationEntry = z.strictObject({
  name: z.string().min(1).max(200),
  data: z.string().min(1).describe("Folder with train, validation and test files, or a file of rows"),
  group: z.union([z.string().min(1), z.number().transform(String)], { error: "must be a name" }).optional(),
  ...rowFormat,
});

/** A simulation: `kindred simulate`. Paths are relative to the file. */
export const simulationSchema = z
  .strictObject({
    model: z.string().min(1).describe("Folder of a Hugging Face model, or its id on the hub"),
    population: z
      .union([z.string().min(1), z.array(populationEntry).min(1)], {
        error: "must be the path of a .jsonl or .jsonl.gz file, or a list of {name, data}",
      })
      .describe("A .jsonl or .jsonl.gz file, one client a line, or a list of folders"),
    title: z.string().min(1).max(200).optional().describe("Heading of the report; the file's name unless given"),
    ...rowFormat,
    ...runSchema.shape,
    maxTokens: whole(2, 1_048_576).default(512).describe("Longest row in tokens; at most the model's context"),
    compare: z
      .array(z.enum(METHODS))
      .transform((methods) => COMPARED.filter((method) => methods.includes(method)))
      .default(["base", "shared", "local"])
      .describe("Methods to run beside Kindred's own; full: federated averaging of all weights"),
    full: block({
      learningRate: rate.describe("Of training all weights; auto: a sweep of its own, for they bear far smaller steps"),
    }),
    concurrency: whole(1, 1024).default(4).describe("Clients at work at one time; they share one engine"),
    runtime,
  })
  .describe("kindred simulate: options of a simulation");

/** A coordinator: `kindred coordinator`. The clients bring data and model. */
export const coordinatorSchema = z
  .strictObject({
    minClients: whole(1, 100_000).describe("Clients that must have enrolled before the work begins"),
    model: z
      .string()
      .min(1)
      .optional()
      .describe("Folder of the base model, or its id on the hub; unless given, the first client's hash is the rule"),
    ...runSchema.shape,
    runtime,
  })
  .describe("kindred coordinator: options of a deployment");
