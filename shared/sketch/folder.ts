/**
 * Sketches as files: a folder with one safetensors file per client and an index, `sketches.json` (docs/formats.md). `kindred
 * gradients` writes such folders and the later stages read them. Other programs may write them too, so they are hostile until checked.
 * This file knows neither how sketches are made nor how they are used.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { readSafetensorsHeader } from "../adapters/safetensors.js";
import { writeAtomically } from "../base/atomic.js";
import { KindredError } from "../base/errors.js";
import { brief, isObject, readJsonObject, reasonOf } from "../base/json.js";
import { MAX_CLIENTS, MAX_NAME_LENGTH } from "../base/limits.js";
import { decodeSketches, encodeSketches, type SketchedSplits } from "./codec.js";
import { type ClientSketch, MOST_NUMBERS, MOST_PROJECTIONS } from "./types.js";

export const SKETCH_INDEX = "sketches.json";
const FORMAT = "kindred-sketches";
const VERSION = 1;

/** Far above any real index (some hundred bytes per client), small enough to be parsed. */
const MAX_INDEX_BYTES = 64 * 1024 * 1024;
/** Node reads at most this at once; 200 rows of 400 numbers take 0.6 MB. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

export interface SketchIndex {
  /** SHA-256 of the base model, where the writer knows it. */
  readonly model?: string;
  /** Width of a sketch. */
  readonly dim: number;
  /** Number of independent projections that are concatenated in a sketch; a divisor of its width. */
  readonly projections: number;
  /** The settings of sketching, equal for all clients; empty where the writer gives none. */
  readonly sketching: Readonly<Record<string, unknown>>;
  readonly clients: readonly IndexedClient[];
}

export interface IndexedClient {
  readonly name: string;
  /** Name of the file in the folder. */
  readonly file: string;
  /** Training rows of the client; the sketched rows may be a sample. */
  readonly trainExamples: number;
}

export interface WrittenIndex extends SketchIndex {
  readonly model: string;
  /** Clients without sketches, and the reasons. */
  readonly leftOut: readonly { readonly name: string; readonly reason: string }[];
  /** Floating-point operations of all sketches. */
  readonly flops: number;
}

export const sketchFileName = (at: number): string => `client-${String(at).padStart(5, "0")}.safetensors`;

export async function writeSketchFile(
  path: string,
  sketches: SketchedSplits,
  metadata: Readonly<Record<string, string>>,
): Promise<void> {
  await writeAtomically(path, encodeSketches(sketches, metadata));
}

/** Metadata of a file with a valid header; undefined where the file is missing or damaged. */
export async function sketchMetadata(path: string): Promise<ReadonlyMap<string, string> | undefined> {
  try {
    return (await readSafetensorsHeader(path, { code: "invalid_data" })).metadata;
  } catch (error) {
    if (error instanceof KindredError) return undefined;
    throw error;
  }
}

export async function writeSketchIndex(folder: string, index: WrittenIndex): Promise<void> {
  const text = JSON.stringify({ format: FORMAT, version: VERSION, ...index }, null, 1);
  await writeAtomically(join(folder, SKETCH_INDEX), `${text}\n`);
}

/** Reads and checks an index. @throws {KindredError} `not_found` where the folder has no index, `invalid_data` naming file and field */
export async function readSketchIndex(folder: string): Promise<SketchIndex> {
  const path = join(folder, SKETCH_INDEX);
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) {
    throw new KindredError(
      "not_found",
      `${folder}: has no ${SKETCH_INDEX}; give a folder that kindred gradients wrote, and let it finish first`,
      { folder },
    );
  }
  const fields = await readJsonObject(path, { maxBytes: MAX_INDEX_BYTES, code: "invalid_data" });
  const fail = (field: string, wants: string, got: unknown): never => {
    throw new KindredError("invalid_data", `${path}: ${field} must be ${wants}, got ${brief(got)}`, { field });
  };
  const whole = (field: string, value: unknown, most: number): number =>
    typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= most
      ? value
      : fail(field, `a whole number from 1 to ${most}`, value);
  if (fields.format !== FORMAT) fail("format", JSON.stringify(FORMAT), fields.format);
  if (fields.version !== VERSION) fail("version", String(VERSION), fields.version);
  const { model, sketching = {}, clients } = fields;
  if (model !== undefined && typeof model !== "string") fail("model", "a text", model);
  if (!isObject(sketching)) return fail("sketching", "an object", sketching);
  if (!Array.isArray(clients) || clients.length === 0 || clients.length > MAX_CLIENTS)
    return fail("clients", `a list of 1 to ${MAX_CLIENTS} clients`, clients);
  const names = new Set<string>();
  const dim = whole("dim", fields.dim, MOST_NUMBERS);
  const projections = whole("projections", fields.projections ?? 1, MOST_PROJECTIONS);
  if (dim % projections !== 0) fail("projections", `a divisor of dim, ${dim}`, projections);
  return {
    ...(typeof model === "string" ? { model } : {}),
    dim,
    projections,
    sketching,
    clients: clients.map((entry: unknown, at): IndexedClient => {
      const field = `clients[${at}]`;
      if (!isObject(entry)) return fail(field, "an object", entry);
      const { name, file, trainExamples } = entry;
      if (typeof name !== "string" || name === "" || name.length > MAX_NAME_LENGTH)
        return fail(`${field}.name`, `a name of at most ${MAX_NAME_LENGTH} characters`, name);
      if (names.has(name)) fail(`${field}.name`, "a name that no other client has", name);
      names.add(name);
      // A file of the folder alone: a hostile index must not name other files.
      if (typeof file !== "string" || !/^[A-Za-z0-9_][\w.-]*$/.test(file))
        return fail(`${field}.file`, "the name of a file in the same folder", file);
      return { name, file, trainExamples: whole(`${field}.trainExamples`, trainExamples, 2 ** 31) };
    }),
  };
}

/** The sketches of all clients of an index, in its order. @throws {KindredError} `invalid_data` naming file and tensor */
export async function readSketches(folder: string, { dim, clients }: SketchIndex): Promise<ClientSketch[]> {
  const sketches: ClientSketch[] = [];
  for (const { name, file, trainExamples } of clients) {
    const path = join(folder, file);
    const fail = (problem: string, cause?: unknown): never => {
      throw new KindredError("invalid_data", `${path}: ${problem}`, { file: path, client: name }, cause);
    };
    const info = await stat(path).catch((error) => fail(`cannot be read (${reasonOf(error)})`, error));
    if (!info.isFile() || info.size > MAX_FILE_BYTES) fail(`is not a file of at most ${MAX_FILE_BYTES} bytes`);
    const bytes = await readFile(path).catch((error) => fail(`cannot be read (${reasonOf(error)})`, error));
    try {
      sketches.push({ client: name, trainExamples, ...decodeSketches(bytes, dim, name) });
    } catch (error) {
      if (!(error instanceof KindredError)) throw error;
      fail(`${error.message}; make the file again`, error);
    }
  }
  return sketches;
}
