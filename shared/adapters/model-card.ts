/** Model cards of written adapters: README.md as the hub of Hugging Face reads it. A card holds numbers of the run, and no name or row of a client. */
import { counted, loss, percent } from "../base/format.js";
import { type BottleneckSettings, isBottleneck, type LoraSettings } from "./settings.js";

export interface CardFacts {
  /** SHA-256 of the base model's weights; null where it is unknown. */
  readonly modelHash: string | null;
  /** Clients of the run. */
  readonly clients: number;
  /** Sums over the clients; null where they are unknown. */
  readonly rows: { readonly train: number; readonly validation: number; readonly test: number } | null;
  /** Means over the clients' test rows; null where there are none. Loss in nats per scored token. */
  readonly scores: readonly {
    readonly method: string;
    readonly clients: number;
    readonly loss: number;
    readonly accuracy: number | null;
  }[];
  /** Settings of the training, as name and value; empty where they are unknown. */
  readonly training: readonly (readonly [name: string, value: string])[];
}

export interface CardSubject {
  readonly baseModel: string | null;
  readonly revision?: string | undefined;
  readonly adapter: Omit<LoraSettings, "freezeA"> | Omit<BottleneckSettings, "freezeA">;
  readonly members: number;
  /** The adapter that the card is of; absent for the whole ensemble. */
  readonly member?: string;
  /** Whether the tokenizer's files are beside the card. */
  readonly tokenizer: boolean;
}

const METHODS: Readonly<Record<string, string>> = {
  base: "base model",
  shared: "one adapter for all clients (federated averaging)",
  local: "one adapter per client",
  full: "all weights, for all clients (federated averaging)",
  kindred: "the ensemble, with each client's own weights",
};

const PAPER =
  "Li, Zhang, Wang, Zhang, *Efficient Ensemble for Fine-tuning Language Models on Multiple Datasets* (ACL 2025, arXiv 2505.21930)";

/** A value of YAML that no content can end. */
const quoted = (text: string): string => JSON.stringify(text);

/** Text within backquotes. */
const code = (text: string): string => `\`${text.replaceAll("`", "'").replace(/\s+/g, " ")}\``;

export function modelCard(subject: CardSubject, facts: CardFacts | undefined): string {
  const { member, members } = subject;
  const what =
    member === undefined
      ? `${counted(members, "adapter")} of one base model, and each client's weights for them`
      : `One of ${counted(members, "adapter")} of one base model, which answer together as a weighted ensemble`;
  return [
    ...frontMatter(subject),
    `# ${member === undefined ? "Ensemble of adapters" : `Adapter ${member}`}`,
    "",
    `${what}. Trained in a federation with Kindred: the rows stayed with the clients.`,
    "",
    ...baseLines(subject, facts),
    ...useLines(subject),
    ...(facts === undefined ? [] : [...dataLines(facts), ...trainingLines(subject, facts), ...scoreLines(facts)]),
    "## Limits",
    "",
    "An adapter can reveal rows that it was trained on. Ask the owners of the rows before you publish it. The licence of the base model applies to it as well; the field `license` above is yours to fill in.",
    "",
  ].join("\n");
}

function frontMatter({ baseModel, adapter }: CardSubject): string[] {
  const bottleneck = isBottleneck(adapter);
  return [
    "---",
    ...(baseModel === null ? [] : [`base_model: ${quoted(baseModel)}`]),
    `library_name: ${bottleneck ? "adapters" : "peft"}`,
    "pipeline_tag: text-generation",
    "license: # fill in before you publish",
    `tags: [${bottleneck ? adapter.kind : "lora"}, federated-learning, kindred]`,
    "---",
    "",
  ];
}

function baseLines({ baseModel, revision }: CardSubject, facts: CardFacts | undefined): string[] {
  const named = baseModel === null ? "not named by the run" : code(baseModel);
  const hash = facts?.modelHash == null ? "" : `; SHA-256 of its weights: ${code(facts.modelHash)}`;
  return [`Base model: ${named}${revision === undefined ? "" : `, revision ${code(revision)}`}${hash}.`, ""];
}

function useLines({ baseModel, adapter, member, tokenizer }: CardSubject): string[] {
  const folder = member === undefined ? '"members/NAME"' : '"."';
  const base = quoted(baseModel ?? "BASE_MODEL");
  const tokens = [
    "from transformers import AutoModelForCausalLM, AutoTokenizer",
    `tokenizer = AutoTokenizer.from_pretrained(${tokenizer ? folder : base})`,
  ];
  const program = isBottleneck(adapter)
    ? [
        "import adapters",
        ...tokens,
        `model = AutoModelForCausalLM.from_pretrained(${base})`,
        "adapters.init(model)",
        `model.set_active_adapters(model.load_adapter(${folder}, use_safetensors=True))`,
      ]
    : [
        "from peft import PeftModel",
        ...tokens,
        `model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(${base}), ${folder})`,
      ];
  const rule =
    member === undefined
      ? "A client's ensemble adds to the base model's logits the sum of `w (member - base)`, with its weights `w` of `ensemble.json`. `kindred predict --ensemble` answers with it."
      : "Alone it is an ordinary adapter. The weights by which it takes part in each client's ensemble are in `ensemble.json`, two folders above.";
  return [
    "## Use",
    "",
    "```python",
    ...program,
    "```",
    "",
    rule,
    "Encode prompt and completion as one text: so were the rows of the training.",
    "",
  ];
}

function dataLines({ clients, rows }: CardFacts): string[] {
  const split =
    rows === null
      ? ""
      : `, with ${rows.train} rows to train on, ${rows.validation} to validate and ${rows.test} to test`;
  return ["## Data", "", `Private rows of ${counted(clients, "client")}${split}. They are not published.`, ""];
}

function trainingLines({ adapter }: CardSubject, { training }: CardFacts): string[] {
  const { kind, ...settings } = adapter;
  const rows = [["adapter", kind] as const, ...Object.entries(settings), ...training].map(
    ([name, value]) =>
      `| ${name} | ${Array.isArray(value) ? value.join(", ") || "the attention's linears" : String(value)} |`,
  );
  return [
    "## Method",
    "",
    `Kindred sketches each client's gradients, estimates which clients help each other, trains one adapter per group of clients in federated rounds, adds adapters by boosting, and fits each client's weights on its validation rows. It follows ${PAPER}.`,
    "",
    "| setting | value |",
    "| --- | --- |",
    ...rows,
    "",
  ];
}

function scoreLines({ scores }: CardFacts): string[] {
  if (scores.length === 0) return [];
  const rows = scores.map(
    ({ method, loss: mean, accuracy }) =>
      `| ${METHODS[method] ?? method} | ${loss(mean)} | ${accuracy === null ? "none" : `${percent(accuracy)} %`} |`,
  );
  const [first] = scores;
  return [
    "## Results",
    "",
    `Means over the test rows of ${counted(first?.clients ?? 0, "client")}, each client weighing the same. Loss in nats per scored token.`,
    "",
    "| what answers | loss | accuracy |",
    "| --- | --- | --- |",
    ...rows,
    "",
  ];
}
