/** The folder of a simulation: what of it is the run's, and which run may begin or go on there. */
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { OpenedModel } from "../client/models/open.js";
import { stateInUse } from "../coordinator/storage/open.js";
import { writeAtomically } from "../shared/base/atomic.js";
import type { JobContext } from "../shared/base/command.js";
import { KindredError } from "../shared/base/errors.js";
import { firstDifference, readJsonObject } from "../shared/base/json.js";
import { makePrivateFolder } from "../shared/base/private.js";
import { remove } from "../shared/base/remove.js";
import type { SimulationPlan } from "../shared/config/config.js";
import type { Population } from "./population/load.js";

export interface RunFolder {
  /** Folder of the run. */
  readonly out: string;
  /** Replace a finished run, or one of another configuration. */
  readonly force: boolean;
  /** Further files of the run, by name: written to its folder when it begins, and removed with it. */
  readonly files?: Readonly<Record<string, string>>;
}

/** In the order in which they are to be removed: by the last one a folder is known as a simulation's. */
export const RUN_FILES = ["report.html", "clients.csv", "affinity.csv", "report.json", "run.json"] as const;

/** What a run keeps in its state's folder besides the state. */
export const STATE_EXTRAS: readonly string[] = ["clients"];

/** It holds a hash or a plan, and names. */
const MAX_BYTES = 10_000_000;

/** The names of the files of a simulation in its folder; undefined where the folder is none. */
export async function simulationFiles(folder: string): Promise<string[] | undefined> {
  const file = join(folder, "run.json");
  const begun = await readJsonObject(file, { maxBytes: MAX_BYTES, code: "invalid_data" }).catch(() => undefined);
  if (begun?.plan === undefined || begun.inputs === undefined) return undefined;
  const { files = [] } = begun;
  // A name that led to another folder would have its files removed.
  const own = (Array.isArray(files) ? files : []).filter(
    (name) => typeof name === "string" && /^\w[\w.-]*$/.test(name),
  );
  return [...own, ...RUN_FILES];
}

/** One of them is there as soon as a run has begun. */
const RUN_MARKS: readonly string[] = ["run.json", "report.json"];

/** What a run reads: SHA-256, and an id. */
export interface Inputs {
  readonly model: string;
  readonly tokenizer: string;
  /** Empty where the model has none. */
  readonly chatTemplate: string;
  /** The end-of-text token; empty where the model names none. */
  readonly endOfText: string;
  readonly rows: string;
}

/** What a run was begun with, as `run.json` in its folder says. */
export interface Begun {
  readonly plan: unknown;
  readonly inputs: Inputs;
  /** Names of further files of the run. */
  readonly files: readonly string[];
}

/** What a run on these rows and this model reads. */
export function inputsOf(population: Population, { base, tokenizer, renderChat, endOfText }: OpenedModel): Inputs {
  const hash = createHash("sha256");
  for (const client of population.clients) hash.update(JSON.stringify(client));
  return {
    model: base.hash,
    tokenizer: tokenizer.hash,
    chatTemplate: renderChat?.hash ?? "",
    endOfText: String(endOfText ?? ""),
    rows: hash.digest("hex"),
  };
}

const INPUT_NAMES: Readonly<Record<keyof Inputs, string>> = {
  model: "another model",
  tokenizer: "another tokenizer",
  chatTemplate: "another chat template",
  endOfText: "another end-of-text token",
  rows: "other rows",
};

/**
 * Refuses a folder that holds a finished run, one of another configuration, or what bears the names of a run and is none. Changes
 * nothing.
 * @returns what the unfinished run there was begun with
 */
export async function checkFolder(
  plan: SimulationPlan,
  { out, force, files = {} }: RunFolder,
): Promise<Begun | undefined> {
  const there = await readdir(out).catch((): string[] => []);
  const owned = RUN_MARKS.some((file) => there.includes(file))
    ? ["state", ...RUN_FILES, ...((await simulationFiles(out)) ?? [])]
    : [];
  const wanted = ["state", ...RUN_FILES, ...Object.keys(files)];
  const foreign = there.find((name) => wanted.includes(name) && !owned.includes(name));
  if (foreign !== undefined) {
    // A run would put its own in its place, and --force remove it.
    throw new KindredError("already_exists", `${join(out, foreign)}: is there, but of no run; choose another --out`, {
      out,
    });
  }
  if (force) return undefined;
  if (existsSync(join(out, "report.json"))) {
    throw new KindredError(
      "already_exists",
      `${out}: holds a finished run; choose another --out, or add --force to replace it`,
      { out },
    );
  }
  const text = await readFile(join(out, "run.json"), "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  const begun = JSON.parse(text) as Begun;
  const difference = firstDifference(begun.plan, JSON.parse(JSON.stringify(plan)));
  if (difference !== undefined) {
    throw new KindredError(
      "already_exists",
      `${out}: holds an unfinished run of another configuration: ${difference}; choose another --out, or add --force to replace it`,
      { out },
    );
  }
  return begun;
}

/** Makes the folder this run's. Only now, when plan, rows and model are known to be sound, is a former run removed. */
export async function claimFolder(
  plan: SimulationPlan,
  { out, force, files = {}, log }: RunFolder & Pick<JobContext, "log">,
  begun: Begun | undefined,
  inputs: Inputs,
): Promise<void> {
  const writeFiles = async (): Promise<void> => {
    for (const [name, text] of Object.entries(files)) await writeAtomically(join(out, name), text);
  };
  if (begun !== undefined) {
    const changed = (Object.keys(INPUT_NAMES) as (keyof Inputs)[]).find((name) => begun.inputs[name] !== inputs[name]);
    if (changed !== undefined) {
      // Its results would be of both.
      throw new KindredError(
        "already_exists",
        `${out}: holds an unfinished run on ${INPUT_NAMES[changed]}; choose another --out, or add --force to replace it`,
        { out },
      );
    }
    log.info("resuming", { out });
    await writeFiles();
    return;
  }
  makePrivateFolder(out);
  if (force) {
    const state = join(out, "state");
    if (await stateInUse(state)) {
      throw new KindredError("invalid_option", `${out}: a process is at work on this run; stop it first`, { out });
    }
    await remove(state);
    for (const file of (await simulationFiles(out)) ?? RUN_FILES) await remove(join(out, file));
  }
  const first: Begun = { plan, inputs, files: Object.keys(files) };
  await writeAtomically(join(out, "run.json"), `${JSON.stringify(first)}\n`);
  await writeFiles();
}
