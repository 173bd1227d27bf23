/**
 * Reads a configuration file (YAML 1.2, of which JSON is a part) and makes one complete, frozen plan of it. Every mistake
 * is named by file, line, field and value, before any data is read. Paths become absolute: they are relative to the file
 * that names them.
 */
import { existsSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, extname, isAbsolute, resolve } from "node:path";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import { z } from "zod";
import { KindredError } from "../base/errors.js";
import { mergeFormats, type RowFormat } from "./format.js";
import { type Mistake, mistakesOf, type Path } from "./issues.js";
import { coordinatorSchema, type runSchema, simulationSchema } from "./schema.js";

/** A list of a few thousand folders fits; a data file named by mistake does not. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

type Frozen<T> = T extends object ? { readonly [K in keyof T]: Frozen<T[K]> } : T;
type Simulation = z.output<typeof simulationSchema>;
type Coordinator = z.output<typeof coordinatorSchema>;

/** One client of a population's list. */
export interface PlannedClient {
  readonly name: string;
  /** Absolute path. */
  readonly data: string;
  readonly group?: string;
  readonly format: RowFormat;
}

/** A complete simulation. "auto" is decided by the run, which knows the population. */
export type SimulationPlan = Frozen<
  Omit<Simulation, "population" | "title" | keyof RowFormat> & {
    title: string;
    /** Absolute path of a population file, or the clients listed. */
    population: string | PlannedClient[];
    /** Format of rows where a listed client has none of its own. */
    format: RowFormat;
  }
>;

export type CoordinatorPlan = Frozen<Coordinator>;

/** What a run does, of a simulation's plan and of a coordinator's alike. */
export type RunPlan = Frozen<z.output<typeof runSchema>>;

function invalid(where: string, message: string, cause?: unknown): KindredError {
  return new KindredError("invalid_config", `${where}: ${message}`, { where }, cause);
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    const handle = await open(file, "r");
    try {
      const { size } = await handle.stat();
      if (size > MAX_CONFIG_BYTES)
        throw invalid(file, `has ${size} bytes; a configuration has at most ${MAX_CONFIG_BYTES}`);
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof KindredError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new KindredError("not_found", `${file}: no such configuration file`, { file }, cause);
    throw invalid(file, `cannot be read (${message})`, cause);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid(file, "is not valid UTF-8", cause);
  }
}

/** Line of a field, or of its key; of the nearest block around it where it is missing. */
function lineOf(document: Document, lines: LineCounter, { path, key }: Mistake): number | undefined {
  const keyed = (above: Path, name: PropertyKey): number | undefined => {
    const map = above.length === 0 ? document.contents : document.getIn(above, true);
    if (!isMap(map)) return undefined;
    const pair = map.items.find((item) => isScalar(item.key) && String(item.key.value) === String(name));
    return isNode(pair?.key) ? pair.key.range?.[0] : undefined;
  };
  for (let depth = path.length; depth > 0; depth--) {
    const above = path.slice(0, depth - 1);
    const node = document.getIn(path.slice(0, depth), true);
    const value = isNode(node) ? node.range?.[0] : undefined;
    const offset = key || value === undefined ? (keyed(above, path[depth - 1] as PropertyKey) ?? value) : value;
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

/** The file's options, checked against the schema. */
async function readConfig<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S>> {
  const lines = new LineCounter();
  const document = parseDocument(await readText(file), { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line } = lines.linePos(broken.pos[0]);
    throw invalid(`${file}:${line}`, `is not sound YAML: ${broken.message.replace(/\s+/g, " ")}`, broken);
  }
  let input: unknown;
  try {
    input = document.toJS();
  } catch (cause) {
    // Aliases that point nowhere, or multiply without end.
    throw invalid(file, `is not sound YAML: ${(cause as Error).message}`, cause);
  }
  if (input === null || input === undefined) throw invalid(file, "is empty; it must be a map of options");
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const [first, ...others] = mistakesOf(schema, result.error.issues, input);
  if (first === undefined) throw invalid(file, result.error.message);
  const line = lineOf(document, lines, first);
  const more = others.length === 0 ? "" : ` (and ${others.length} more mistake${others.length === 1 ? "" : "s"})`;
  throw invalid(line === undefined ? file : `${file}:${line}`, `${first.message}${more}`);
}

function freeze<T>(value: T): Frozen<T> {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) freeze(inner);
    Object.freeze(value);
  }
  return value as Frozen<T>;
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}

/**
 * A model as the user names it: the absolute path of a folder or a GGUF file, or an id of the hub (`owner/name` or
 * `owner/name@revision`) where neither is.
 * @param base folder that relative paths start from
 * @param where names the option in messages: `run.yaml: model`, `--model`
 * @throws {KindredError} `not_found` where it is neither
 */
export function resolveModel(model: string, base: string, where: string): string {
  const folder = resolve(base, model);
  if (isFolder(folder) || (folder.endsWith(".gguf") && existsSync(folder))) return folder;
  if (/^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*(@[\w./-]+)?$/.test(model) && !isAbsolute(model)) return model;
  throw new KindredError(
    "not_found",
    `${where} ${JSON.stringify(model)}: no such folder or .gguf file (${folder}), and no id of the hub, which is owner/name`,
    { model },
  );
}

/** The fields of a row's format that are there. */
function formatOf({ template, completion, choices, label }: Partial<Pick<Simulation, keyof RowFormat>>): RowFormat {
  return {
    ...(template === undefined ? {} : { template }),
    ...(completion === undefined ? {} : { completion }),
    ...(choices === undefined ? {} : { choices }),
    ...(label === undefined ? {} : { label }),
  };
}

function checkFormat({ template, completion, choices }: RowFormat, where: string): void {
  if (choices !== undefined && completion !== undefined) {
    throw invalid(where, "choices and completion exclude each other; remove one");
  }
  if (template === undefined && (choices !== undefined || completion !== undefined)) {
    throw invalid(
      where,
      "choices and completion complete a prompt, and there is no template that makes one; add template",
    );
  }
}

/**
 * The plan of `kindred simulate`.
 * @throws {KindredError} `not_found`, `invalid_config` with one line that names `file:LINE`, field and value
 */
export async function loadSimulationConfig(file: string): Promise<SimulationPlan> {
  const options = await readConfig(file, simulationSchema);
  const base = dirname(resolve(file));
  const { template, completion, choices, label, population, ...rest } = options;
  const format = formatOf({ template, completion, choices, label });
  if (typeof population === "string") checkFormat(format, file);
  const names = new Set<string>();
  const clients = (list: Exclude<typeof population, string>): PlannedClient[] =>
    list.map(({ name, data, group, ...own }, index) => {
      const where = `${file}: population[${index}]`;
      if (names.has(name))
        throw invalid(where, `name ${JSON.stringify(name)} appears a second time; names must be unique`);
      names.add(name);
      const merged = mergeFormats(format, formatOf(own));
      checkFormat(merged, where);
      return { name, data: resolve(base, data), format: merged, ...(group === undefined ? {} : { group }) };
    });
  return freeze({
    ...rest,
    title: options.title ?? basename(file, extname(file)),
    model: resolveModel(options.model, base, `${file}: model`),
    population: typeof population === "string" ? resolve(base, population) : clients(population),
    format,
  }) as SimulationPlan;
}

/**
 * The plan of options given in code: model and population are absolute paths (or a hub id).
 * @throws {KindredError} `invalid_config` naming the field
 */
export function simulationPlan(options: z.input<typeof simulationSchema> & { readonly title: string }): SimulationPlan {
  const parsed = simulationSchema.safeParse(options);
  if (!parsed.success) {
    const [first] = mistakesOf(simulationSchema, parsed.error.issues, options);
    throw invalid("options", first?.message ?? "are not those of a simulation");
  }
  const { template, completion, choices, label, ...rest } = parsed.data;
  return freeze({ ...rest, format: formatOf({ template, completion, choices, label }) }) as SimulationPlan;
}

/**
 * The plan of `kindred coordinator`.
 * @throws {KindredError} as `loadSimulationConfig`
 */
export async function loadCoordinatorConfig(file: string): Promise<CoordinatorPlan> {
  const { model, ...rest } = await readConfig(file, coordinatorSchema);
  const base = dirname(resolve(file));
  if (model === undefined && rest.base.quantization !== "none") {
    throw invalid(
      file,
      "base.quantization is checked against the clients' models, and no model is given; add model, or leave it to the " +
        "clients' --quantization",
    );
  }
  return freeze({ ...rest, ...(model === undefined ? {} : { model: resolveModel(model, base, `${file}: model`) }) });
}

const SCHEMAS = { simulate: simulationSchema, coordinator: coordinatorSchema } as const;

export type ConfigKind = keyof typeof SCHEMAS;

export const CONFIG_KINDS = Object.keys(SCHEMAS) as ConfigKind[];

/** JSON schema (2020-12) of a configuration file, for editors. */
export function configJsonSchema(kind: ConfigKind): Record<string, unknown> {
  return z.toJSONSchema(SCHEMAS[kind], { io: "input" });
}
