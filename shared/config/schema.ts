/**
 * The options of a configuration file: their types, bounds, defaults and words. This is their only home: the check of a file,
 * the plan, the JSON schema for editors, and docs/configuration.md are made from it. Knows no file.
 * What a run measures before it can decide (the number of groups, of subsets, the learning rate) stays "auto" in the plan.
 *
 * The first sentence of a description stands alone: the table of the options changed most shows no more. The others name units, and what "auto" and
 * zero mean.
 */
import { z } from "zod";
import { MAX_CLIENTS, MAX_NAME_LENGTH } from "../base/limits.js";
import { DEVICES, RUNTIME_KINDS } from "../runtimes/types.js";
import { COMPRESSIONS } from "../transforms/names.js";
import { adapter, base } from "./adapter.js";
import { COMPARED, METHODS } from "./enumerations.js";
import { estimation } from "./estimation.js";
import { auto, block, refuse, text, whole } from "./fields.js";
import { parseTemplate } from "./format.js";
import { boosting, ensemble, grouping, groups } from "./grouping.js";
import { learningRate, training } from "./training.js";

const template = text("a template").superRefine((value, context) => {
  try {
    parseTemplate(value);
  } catch (error) {
    refuse(context, (error as Error).message);
  }
});

/** How objects and CSV rows become prompts and completions. */
const rowFormat = {
  template: template
    .optional()
    .describe(
      "Prompt of a row, with fields of the row in braces: 'Text: {text} Answer:'. {{ and }} are braces themselves. A line end is \\n within double quotes, and two other characters within single quotes. A number stands as it is written in the file. Without choices or a completion nothing says what is scored: rows to be scored are refused, unless the template is one field alone, '{text}', which is scored as a whole text.",
    ),
  completion: template
    .optional()
    .describe(
      "Completion of a row, with fields of the row in braces. For answers in free text, in place of choices. Without a template it is a whole text: the prompt is empty.",
    ),
  choices: z
    .record(z.string(), z.string().min(1))
    .refine(
      (map) => new Set(Object.values(map)).size >= 2,
      "too few different completions; expected a map with at least two",
    )
    .meta({ title: "a map from values to completions" })
    .optional()
    .describe(
      "Completion of each value of the label: {0: ' no', 1: ' yes'}. Values are compared as they are written; a number of JSON also by its value, so that 1.0 is 1.",
    ),
  label: z
    .string()
    .min(1)
    .optional()
    .describe(
      "Field that holds the label. Unless given: the field label, or label_text where label has no value of choices.",
    ),
  ignore: z
    .array(z.string().min(1))
    .min(1)
    .readonly()
    .optional()
    .describe(
      "Fields of rows that are left out before a row is read, because nothing reads them: [score, num_turns]. messages.NAME is a field of each message. Without it, a field that nothing reads is refused, unless it says where the row is from.",
    ),
};

const runtime = block({
  kind: z
    .enum(RUNTIME_KINDS)
    .default("auto")
    .describe(
      "Engine that executes the graphs. auto: onnx. onnx: ONNX Runtime. tfjs: TensorFlow.js. The command-line option --runtime overrides it.",
    ),
  device: z
    .enum(DEVICES)
    .default("auto")
    .describe(
      "Device that the engine computes on. gpu: the first kind of GPU that works. auto: for onnx the processor, or CUDA where its library has been added; for tfjs the first that works. The command-line option --device overrides it.",
    ),
  threads: auto(whole(1, 1024)).describe(
    "Threads per matrix product. auto: one per processor. The command-line option --threads overrides it.",
  ),
}).describe("What computes on this machine. It changes the speed of a run and the last digits of its numbers.");

const transport = block({
  compression: z
    .enum(COMPRESSIONS)
    .default("none")
    .describe(
      "Form in which clients send what a round of training changed. none: the values, 4 bytes each. fp16: differences to the round's start in half precision. int8: differences in 8 bits; a client adds each round's rounding error to its next difference. Clients that cannot do it are refused.",
    ),
}).describe("How updates travel from the clients to the coordinator.");

/** What a run does, in a simulation as in a deployment. */
export const runSchema = z.strictObject({
  base,
  adapter,
  training,
  estimation,
  groups,
  grouping,
  boosting,
  ensemble,
  transport,
  seed: whole(0, Number.MAX_SAFE_INTEGER)
    .default(0)
    .describe("Seed of everything that is drawn at random. The same seed gives the same result."),
});

const populationEntry = z.strictObject({
  name: z.string().min(1).max(MAX_NAME_LENGTH).describe("Name of the client. Names are unique within a population."),
  data: text("a folder or a file").describe(
    "Folder with train, validation and test files, or one file of rows, which are then split by the seed.",
  ),
  group: z
    .union([z.string().min(1), z.number().transform(String)])
    .optional()
    .describe("Group that the client is known to belong to. The report compares the groups found with it."),
  ...rowFormat,
});

const MODEL = "a folder, a .gguf file, or owner/name of the hub";

/** A simulation: `kindred simulate`. Paths are relative to the file. */
export const simulationSchema = z
  .strictObject({
    model: text(MODEL).describe(
      "Base model: a folder in Hugging Face's form, a .gguf file, or an id of the hub (owner/name, owner/name@revision).",
    ),
    population: z
      .union([
        text("the path of a .jsonl or .jsonl.gz file, a folder or a glob"),
        z.array(populationEntry).min(1).max(MAX_CLIENTS).meta({ title: "a list of {name, data}" }),
      ])
      .describe(
        "Clients and their rows. A .jsonl or .jsonl.gz file with one client per line; or a folder or a glob such as data/*.jsonl, where each file of rows and each folder with a train file is a client under its own name; or a list of clients.",
      ),
    title: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe("Heading of the report. Unless given: the name of this file."),
    ...rowFormat,
    ...runSchema.shape,
    maxTokens: whole(2, 1_048_576)
      .default(512)
      .describe(
        "Longest row in tokens, at most the model's context. A prompt that is too long loses tokens on its left, as many as the longest of its choices needs. A deployed client has --max-tokens in place of this option.",
      ),
    endOfText: auto(z.boolean()).describe(
      "Whether the model's end-of-text token is appended to rows and scored, so that the model learns where an answer ends. auto: to rows with a completion and no choices. true: to all rows that do not end with it, and to each choice. false: to none. The command-line option --end-of-text overrides it; a deployed client has that option alone.",
    ),
    compare: z
      .array(z.enum(METHODS))
      .default(["base", "shared", "local"])
      .transform((methods) => COMPARED.filter((method) => methods.includes(method)))
      .describe(
        "Methods to run beside Kindred's own. base: the model without adapters. shared: one adapter for all clients. local: one adapter per client. full: federated averaging of all weights, for models of at most 2^28 parameters on a base that is not quantized; a client at work holds ten copies of the weights, and a round sends one copy each way.",
      ),
    full: block({
      learningRate: learningRate.describe(
        "Learning rate of training all weights. auto: a sweep of its own, since all weights need far smaller steps than adapters.",
      ),
    }).describe("Training of all weights, where compare has full."),
    report: block({
      examples: whole(0, 100)
        .default(6)
        .describe(
          "Test rows that the report quotes, with each method's answer. 0: none, so that no row is in the report.",
        ),
    }).describe("What the report shows beside the run's numbers."),
    concurrency: whole(1, 1024).default(4).describe("Clients at work at one time. They share one engine."),
    runtime,
  })
  .describe("Options of kindred simulate.");

/** A coordinator: `kindred coordinator`. The clients bring data and model. */
export const coordinatorSchema = z
  .strictObject({
    minClients: whole(1, MAX_CLIENTS).describe("Clients that must have enrolled before the work begins."),
    model: text(MODEL)
      .optional()
      .describe(
        "Base model, as in a simulation. Clients with another model are refused. Unless given: the model of the first client that enrols.",
      ),
    ...runSchema.shape,
    runtime,
  })
  .describe("Options of kindred coordinator.");
