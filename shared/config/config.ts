/**
 * Makes one complete, frozen plan of a configuration. Paths become absolute: they are relative to the file that names them.
 * Every mistake is found before any data is read.
 */
import { existsSync, statSync } from "node:fs";
import { basename, dirname, extname, isAbsolute, posix, resolve } from "node:path";
import { convertPathToPattern, isDynamicPattern } from "tinyglobby";
import { z } from "zod";
import { KindredError } from "../base/errors.js";
import type { EndOfText } from "./enumerations.js";
import { formatOf, labelProblem, mergeFormats, type RowFormat } from "./format.js";
import { mistakesOf } from "./issues.js";
import { invalid, readConfig } from "./read.js";
import { coordinatorSchema, runSchema, simulationSchema } from "./schema.js";

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

/** A complete simulation. The run, which knows the population, decides what is "auto". */
export type SimulationPlan = Frozen<
  Omit<Simulation, "population" | "title" | keyof RowFormat> & {
    title: string;
    /** Absolute path of a population file or of a folder of clients, a glob of such clients, or the clients listed. */
    population: string | PlannedClient[];
    /** Format of rows where a listed client has none of its own. */
    format: RowFormat;
    /** The model as the user named it; `model` is absolute where it is a path. */
    modelName: string;
  }
>;

export type CoordinatorPlan = Frozen<
  Coordinator & {
    /** The model as the user named it. */
    modelName?: string;
  }
>;

/** Everything that a run does: the options that simulations and coordinators share. */
export type RunPlan = Frozen<z.output<typeof runSchema>>;

/** What a run does where nothing is configured. */
export const runDefaults = (): RunPlan => freeze(runSchema.parse({}));

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
 * The model that a user names: the absolute path of a folder or of a GGUF file. Where there is no such path: the id of the hub
 * (`owner/name` or `owner/name@revision`).
 * @param base folder that relative paths start from
 * @param where names the option in messages: `run.yaml: model`, `--model`
 * @throws {KindredError} `not_found`
 */
export function resolveModel(model: string, base: string, where: string): string {
  const folder = resolve(base, model);
  if (isFolder(folder) || (folder.endsWith(".gguf") && existsSync(folder))) return folder;
  if (/^[A-Za-z0-9][\w.-]*\/[A-Za-z0-9][\w.-]*(@[\w./-]+)?$/.test(model) && !isAbsolute(model)) return model;
  throw new KindredError(
    "not_found",
    `${where}: no such folder or .gguf file (${folder}), and not an id of the hub; expected a folder, a .gguf file, or owner/name, got ${JSON.stringify(model)}`,
    { model },
  );
}

/** The path of a population. A glob stays one: the folder that it starts from is taken literally. */
function populationPath(population: string, base: string): string {
  const path = resolve(base, population);
  if (existsSync(path) || !isDynamicPattern(population)) return path;
  if (isAbsolute(population)) return population;
  return posix.join(convertPathToPattern(base), population);
}

function checkFormat(format: RowFormat, where: string): void {
  const { template, completion, choices } = format;
  if (choices !== undefined && completion !== undefined) {
    throw invalid(where, "choices and completion exclude each other; expected at most one of them; remove the other");
  }
  const wrongLabel = labelProblem(format);
  if (wrongLabel !== undefined) throw invalid(`${where}: label`, wrongLabel);
  if (template === undefined && choices !== undefined) {
    throw invalid(
      where,
      "choices need a prompt, and there is no template that makes one; expected template beside them; add it",
    );
  }
}

/** Where options come from, for paths and messages. */
interface Origin {
  /** Folder that relative paths start from. */
  readonly base: string;
  /** Names the origin in messages. */
  readonly where: string;
}

function simulationOf(options: Simulation, title: string, { base, where }: Origin): SimulationPlan {
  const { template, completion, choices, label, ignore, population, ...rest } = options;
  const format = formatOf({ template, completion, choices, label, ignore });
  if (typeof population === "string") checkFormat(format, where);
  const names = new Set<string>();
  const clients = (list: Exclude<typeof population, string>): PlannedClient[] =>
    list.map(({ name, data, group, ...own }, index) => {
      const entry = `${where}: population[${index}]`;
      if (names.has(name))
        throw invalid(
          `${entry}.name`,
          `used twice; expected a name of its own, got ${JSON.stringify(name)}; rename one client`,
        );
      names.add(name);
      const merged = mergeFormats(format, formatOf(own));
      checkFormat(merged, entry);
      return { name, data: resolve(base, data), format: merged, ...(group === undefined ? {} : { group }) };
    });
  return freeze({
    ...rest,
    title: options.title ?? title,
    model: resolveModel(options.model, base, `${where}: model`),
    modelName: options.model,
    population: typeof population === "string" ? populationPath(population, base) : clients(population),
    format,
  }) as SimulationPlan;
}

/**
 * The plan of `kindred simulate`.
 * @param given fields of rows that take the place of the file's
 * @throws {KindredError} `not_found`, `invalid_config` with one line that names `file:LINE`, field and value
 */
export async function loadSimulationConfig(
  file: string,
  given: RowFormat & { readonly endOfText?: EndOfText | undefined } = {},
): Promise<SimulationPlan> {
  const { template, completion, choices, label, ignore, ...options } = await readConfig(file, simulationSchema);
  const rows = mergeFormats(formatOf({ template, completion, choices, label, ignore }), formatOf(given));
  const { endOfText = options.endOfText } = given;
  return simulationOf({ ...options, ...rows, endOfText }, basename(file, extname(file)), {
    base: dirname(resolve(file)),
    where: file,
  });
}

/** A simulation's options as code gives them. */
export type SimulationOptions = z.input<typeof simulationSchema>;
/** A coordinator's options as code gives them. */
export type CoordinatorOptions = z.input<typeof coordinatorSchema>;

/** Options of code start at the working directory. */
const here = (): Origin => ({ base: process.cwd(), where: "options" });

function parsed<S extends z.ZodType>(schema: S, options: unknown): z.output<S> {
  const result = schema.safeParse(options);
  if (result.success) return result.data;
  const [first] = mistakesOf(schema, result.error.issues, options);
  throw invalid("options", first?.message ?? result.error.message);
}

/**
 * The plan of options that code gives. Relative paths start from the working directory.
 * @throws {KindredError} `not_found`, `invalid_config` naming the field
 */
export function simulationPlan(options: SimulationOptions): SimulationPlan {
  return simulationOf(parsed(simulationSchema, options), "Simulation", here());
}

function coordinatorOf({ model, ...rest }: Coordinator, { base, where }: Origin): CoordinatorPlan {
  if (model === undefined && rest.base.quantization !== "none") {
    throw invalid(
      `${where}: base.quantization`,
      "needs model, since the clients' quantized models are checked against it; expected model beside it; add model, or " +
        "leave the choice to the clients' --quantization",
    );
  }
  return freeze({
    ...rest,
    ...(model === undefined ? {} : { model: resolveModel(model, base, `${where}: model`), modelName: model }),
  });
}

/**
 * The plan of `kindred coordinator`.
 * @throws {KindredError} as `loadSimulationConfig`
 */
export async function loadCoordinatorConfig(file: string): Promise<CoordinatorPlan> {
  return coordinatorOf(await readConfig(file, coordinatorSchema), { base: dirname(resolve(file)), where: file });
}

/** The plan of options that code gives. @throws {KindredError} as `simulationPlan` */
export function coordinatorPlan(options: CoordinatorOptions): CoordinatorPlan {
  return coordinatorOf(parsed(coordinatorSchema, options), here());
}

/** A path to data of one client or of many, as it is; a glob, from the working directory. */
export const dataPath = (data: string): string => (existsSync(data) ? data : populationPath(data, process.cwd()));

const SCHEMAS = { simulate: simulationSchema, coordinator: coordinatorSchema } as const;

export type ConfigKind = keyof typeof SCHEMAS;

export const CONFIG_KINDS = Object.keys(SCHEMAS) as ConfigKind[];

/** JSON schema (2020-12) of a configuration file, for editors. */
export function configJsonSchema(kind: ConfigKind): Record<string, unknown> {
  return z.toJSONSchema(SCHEMAS[kind], { io: "input" });
}
