/**
 * The documentation of the options, made from the schema: the page docs/configuration.md. Knows no file; `generate.ts` reads and
 * writes.
 */
import { type ConfigKind, configJsonSchema } from "./config.js";
import { either, type JsonSchema, wordsOf } from "./words.js";

/** One row of a table. */
export interface DocumentedOption {
  /** Dotted, a list's entries as `population[].name`. */
  readonly path: string;
  readonly takes: string;
  /** As YAML; undefined where there is none. */
  readonly default: string | undefined;
  readonly required: boolean;
  readonly description: string;
  readonly kinds: readonly ConfigKind[];
}

/** A block of options, which has a description of its own. */
export interface DocumentedBlock {
  readonly path: string;
  readonly description: string;
}

export interface Documented {
  readonly options: readonly DocumentedOption[];
  readonly blocks: readonly DocumentedBlock[];
}

/** Options that people change most, which the page shows first. The list is made here; all that it says of them is the schema's. */
export const COMMON_OPTIONS = [
  "model",
  "population",
  "adapter.rank",
  "training.epochs",
  "training.learningRate",
  "training.strategy.kind",
  "groups",
  "estimation.calibrate",
  "compare",
  "seed",
] as const;

/** Sections of the page, in order, by the first word of the options' paths. An option of no section gets one of its own. */
const SECTIONS: readonly { readonly title: string; readonly options: readonly string[] }[] = [
  { title: "Model and clients", options: ["model", "population", "minClients", "title"] },
  { title: "Rows", options: ["template", "completion", "choices", "label", "maxTokens", "endOfText"] },
  { title: "Base model and adapter", options: ["base", "adapter"] },
  { title: "Training", options: ["training"] },
  { title: "Estimation", options: ["estimation"] },
  { title: "Groups", options: ["groups", "grouping"] },
  { title: "Boosting and ensemble", options: ["boosting", "ensemble"] },
  { title: "Comparison", options: ["compare", "full"] },
  { title: "Seed and machine", options: ["seed", "concurrency", "runtime"] },
];

const FOR: Readonly<Record<ConfigKind, string>> = { simulate: "simulation", coordinator: "coordinator" };

/** A default as a user would write it. */
const yaml = (value: unknown): string =>
  Array.isArray(value) ? `[${value.map(yaml).join(", ")}]` : typeof value === "string" ? value : JSON.stringify(value);

const isBlock = ({ properties }: JsonSchema): boolean => properties !== undefined;

/** The variants of a block with kinds; undefined for every other schema. */
const variantsOf = ({ oneOf }: JsonSchema): readonly JsonSchema[] | undefined =>
  oneOf?.every(isBlock) ? oneOf : undefined;

const kindsOf = (variant: JsonSchema): string => wordsOf(variant.properties?.kind ?? {});

/** One option of a block with kinds: its schemas by the variant that has it. */
function merged(
  path: string,
  own: string,
  found: readonly { readonly variant: JsonSchema; readonly schema: JsonSchema }[],
  variants: readonly JsonSchema[],
): Omit<DocumentedOption, "kinds"> {
  const value = found.map(({ schema }) => schema.default).find((given) => given !== undefined);
  const described = [...new Set(found.map(({ schema }) => schema.description ?? ""))];
  const tagged = (description: string): string => {
    const of = found.filter(({ schema }) => schema.description === description).map(({ variant }) => kindsOf(variant));
    // The kind itself says which it is; an option that all variants describe alike belongs to none of them.
    if (path.endsWith(".kind") || of.length === variants.length) return description;
    const others = variants.filter((variant) => !found.some((one) => one.variant === variant)).map(kindsOf);
    // Most kinds have it, and describe it alike: the ones without it are shorter to name.
    const few = described.length === 1 && others.length < of.length;
    return `*${few ? `all kinds but ${either(others)}` : either(of)}:* ${description}`;
  };
  return {
    path,
    takes: wordsOf({ anyOf: found.map(({ schema }) => schema) }),
    default: value === undefined ? undefined : yaml(value),
    // Of the kinds that have it.
    required: value === undefined && found.every(({ variant }) => variant.required?.includes(own) ?? false),
    description: described.map(tagged).join(" "),
  };
}

/** The options below a schema, in its order, blocks opened. */
function walk(
  schema: JsonSchema,
  prefix: string,
  kind: ConfigKind,
): { options: DocumentedOption[]; blocks: DocumentedBlock[] } {
  const options: DocumentedOption[] = [];
  const blocks: DocumentedBlock[] = [];
  const open = (inner: JsonSchema, path: string): void => {
    const below = walk(inner, path, kind);
    options.push(...below.options);
    blocks.push(...below.blocks);
  };
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const path = prefix + name;
    const variants = variantsOf(field);
    if (isBlock(field) || variants !== undefined) blocks.push({ path, description: field.description ?? "" });
    if (isBlock(field)) {
      open(field, `${path}.`);
    } else if (variants !== undefined) {
      const names = new Set(variants.flatMap(({ properties = {} }) => Object.keys(properties)));
      for (const own of names) {
        const found = variants.flatMap((variant) => {
          const inner = variant.properties?.[own];
          return inner === undefined ? [] : [{ variant, schema: inner }];
        });
        options.push({ ...merged(`${path}.${own}`, own, found, variants), kinds: [kind] });
      }
    } else {
      options.push({
        path,
        takes: wordsOf(field),
        default: field.default === undefined ? undefined : yaml(field.default),
        required: schema.required?.includes(name) ?? false,
        description: field.description ?? "",
        kinds: [kind],
      });
      // The entries of a list of blocks.
      for (const { items } of [field, ...(field.anyOf ?? [])]) if (items && isBlock(items)) open(items, `${path}[].`);
    }
  }
  return { options, blocks };
}

/** All options of all kinds of configuration. An option that kinds describe alike is one entry. */
export function documentedOptions(kinds: readonly ConfigKind[] = ["simulate", "coordinator"]): Documented {
  const options = new Map<string, DocumentedOption>();
  const blocks = new Map<string, DocumentedBlock>();
  for (const kind of kinds) {
    const found = walk(configJsonSchema(kind) as JsonSchema, "", kind);
    for (const block of found.blocks) blocks.set(block.path, block);
    for (const option of found.options) {
      const { kinds: _, ...said } = option;
      const key = JSON.stringify(said);
      const known = options.get(key);
      options.set(key, known === undefined ? option : { ...known, kinds: [...known.kinds, kind] });
    }
  }
  return { options: [...options.values()], blocks: [...blocks.values()] };
}

/** Text inside a table's cell. Newlines end a row, and a bar ends a cell. */
const cell = (text: string): string => text.replace(/\s+/g, " ").replaceAll("|", "\\|");
const code = (text: string): string => `\`${cell(text)}\``;

/** An anchor that links to an option: `docs/configuration.md#training.epochs`. */
const anchor = (path: string): string => `<a id="${path.replace("[]", "")}"></a>`;

const defaultCell = ({ default: value, required }: DocumentedOption): string =>
  value === undefined ? (required ? "required" : "none") : code(value);

function table(options: readonly DocumentedOption[], all: number): string {
  const seen = new Set<string>();
  const rows = options.map((option) => {
    const { path, takes, kinds, description } = option;
    const link = seen.has(path) ? "" : anchor(path);
    seen.add(path);
    const whose = kinds.length === all ? "both" : kinds.map((kind) => FOR[kind]).join(", ");
    return `| ${link}${code(path)} | ${whose} | ${cell(takes)} | ${defaultCell(option)} | ${cell(description)} |`;
  });
  return ["| option | for | takes | default | what it does |", "| --- | --- | --- | --- | --- |", ...rows].join("\n");
}

const firstWord = (path: string): string => path.split(/[.[]/, 1)[0] as string;

/** The page's tables, a section each. */
function sections({ options, blocks }: Documented): string {
  const named = SECTIONS.flatMap((section) => section.options);
  const others = [...new Set(options.map(({ path }) => firstWord(path)))].filter((word) => !named.includes(word));
  const title = (word: string): string => `${word[0]?.toUpperCase()}${word.slice(1)}`;
  return [...SECTIONS, ...others.map((word) => ({ title: title(word), options: [word] }))]
    .map((section) => {
      const of = (path: string): boolean => section.options.includes(firstWord(path));
      const rank = ({ path }: DocumentedOption): number => section.options.indexOf(firstWord(path));
      const own = options.filter(({ path }) => of(path)).sort((a, b) => rank(a) - rank(b));
      if (own.length === 0) return "";
      const said = blocks
        .filter(({ path }) => of(path))
        .map(({ path, description }) => `- ${code(path)}: ${description}`);
      return [`## ${section.title}`, ...(said.length === 0 ? [] : [said.join("\n")]), table(own, 2)].join("\n\n");
    })
    .filter((text) => text !== "")
    .join("\n\n");
}

const INTRODUCTION = `<!-- Made from shared/config by \`node dist/shared/config/generate.js\`. Change the schema, not this page. -->

# Configuration

A configuration is one file in YAML 1.2, of which JSON is a part. \`kindred simulate\` and \`kindred gradients\` read a simulation, \`kindred coordinator\` reads a coordinator's file. Paths are relative to the file that names them. An unknown option, a wrong type and a value out of bounds are refused before any data is read, by file, line, option and value.

A simulation needs \`model\` and \`population\`; a coordinator needs \`minClients\`. Every other option has a default or may be left out. \`auto\` means that the run decides; the table says how. Losses and their errors are in nats.

A simulation, with the options that people change most:

\`\`\`yaml
# kindred simulate run.yaml --out runs/first
model: HuggingFaceTB/SmolLM2-135M-Instruct
population:
  - { name: harbour, data: data/harbour }
  - name: meadow
    data: data/meadow
    template: "Review: {text}\\nSentiment:"
    choices: { 0: " negative", 1: " positive" }
maxTokens: 256
adapter: { kind: lora, rank: 8, alpha: 16 }
training: { epochs: 2, batch: 8, learningRate: auto }
estimation: { calibrate: true }
groups: auto
compare: [base, shared, local]
seed: 1
\`\`\`

A coordinator; its clients bring data and model:

\`\`\`yaml
# kindred coordinator --config coordinator.yaml --listen 127.0.0.1:7461 --state runs/federation
minClients: 8
model: HuggingFaceTB/SmolLM2-135M-Instruct
adapter: { kind: lora, rank: 8, alpha: 16 }
training: { epochs: 2 }
grouping: { minSize: 2 }
\`\`\`

\`kindred schema simulate\` and \`kindred schema coordinator\` print the same as a JSON schema, which editors take for completion and checks: write it to a file, and put \`# yaml-language-server: $schema=simulate.schema.json\` on the first line of the configuration.
`;

/** The first sentence, which stands alone, without the kinds that it is of. */
const firstSentence = (text: string): string => text.replace(/^\*[^*]+\* /, "").replace(/\.( .*)?$/, "");

/**
 * The table of the options that people change most.
 * @throws {Error} where an option of `paths` is not in the schema
 */
export function commonTable(
  { options }: Documented = documentedOptions(),
  paths: readonly string[] = COMMON_OPTIONS,
): string {
  const rows = paths.map((path) => {
    const option = options.find((one) => one.path === path);
    if (option === undefined)
      throw new Error(`COMMON_OPTIONS: ${path} is not an option; change shared/config/documentation.ts`);
    const link = `[${code(path)}](#${path})`;
    return `| ${link} | ${defaultCell(option)} | ${cell(firstSentence(option.description))} |`;
  });
  return ["| option | default | what it does |", "| --- | --- | --- |", ...rows].join("\n");
}

/** The page docs/configuration.md. */
export function configurationPage(documented: Documented = documentedOptions()): string {
  return `${INTRODUCTION}\n## Changed most\n\n${commonTable(documented)}\n\n${sections(documented)}\n`;
}
