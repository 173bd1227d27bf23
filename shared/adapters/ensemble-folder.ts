/** A finished ensemble as a folder: its members as adapters of PEFT or AdapterHub's library, each client's weights, cards, tokenizer. */
import { existsSync } from "node:fs";
import { copyFile, link, rm } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { writeAtomically } from "../base/atomic.js";
import { KindredError } from "../base/errors.js";
import { makeFolder } from "../base/folders.js";
import { isObject, readJsonObject } from "../base/json.js";
import { PRIVATE_FOLDER } from "../base/private.js";
import type { NamedTensors } from "../base/tensors.js";
import { writeBottleneckAdapter } from "./adapterhub.js";
import { type CardFacts, modelCard } from "./model-card.js";
import { adaptedModules, writePeftAdapter } from "./peft.js";
import { type BottleneckSettings, isBottleneck, type LoraSettings } from "./settings.js";

const CARD = "README.md";

export interface WrittenMember {
  readonly name: string;
  readonly tensors: NamedTensors;
}

type WrittenLora = Omit<LoraSettings, "freezeA">;
type WrittenBottleneck = Omit<BottleneckSettings, "freezeA">;

export interface WrittenEnsemble {
  /** The base model's name, as the adapters state it. */
  readonly baseModel: string | null;
  readonly adapter: WrittenLora | WrittenBottleneck;
  readonly members: AsyncIterable<WrittenMember> | Iterable<WrittenMember>;
  /** Pairs of a client and its weights, one per member. */
  readonly weights: Iterable<readonly [string, readonly number[]]>;
  /** The tokenizer's files by name: they are put beside the ensemble and beside each adapter. @default none */
  readonly tokenizer?: ReadonlyMap<string, Uint8Array>;
  /** What the model cards say of the run. @default nothing */
  readonly facts?: CardFacts;
}

/** The formula of the ensemble's logits, for readers of `ensemble.json`. */
const RULE = "base + sum of w (member - base), on logits";

/** Writes `members/<name>/`, `ensemble.json` and model cards into a folder; existing members are replaced. @returns the members' names */
export async function writeEnsemble(folder: string, ensemble: WrittenEnsemble): Promise<string[]> {
  await rm(join(folder, "members"), { recursive: true, force: true });
  const { adapter, tokenizer = new Map<string, Uint8Array>(), facts } = ensemble;
  const { baseModel, revision } = namedModel(ensemble.baseModel);
  for (const [name, bytes] of tokenizer) await writeAtomically(join(folder, name), bytes);
  const names: string[] = [];
  for await (const { name, tensors } of ensemble.members) {
    const path = join(folder, "members", name);
    if (isBottleneck(adapter)) await writeBottleneckAdapter(path, { ...adapter, tensors }, { name, baseModel });
    else {
      // A run's modules may be of some layers alone, which the last parts of the tensors' names do not show.
      const targetModules = adapter.modules.length > 0 ? adapter.modules : adaptedModules(tensors);
      await writePeftAdapter(
        path,
        { ...adapter, targetModules, useRslora: adapter.rslora, tensors },
        { baseModel, revision },
      );
    }
    for (const file of tokenizer.keys()) await linkOrCopy(join(folder, file), join(path, file));
    names.push(name);
  }
  const subject = { baseModel, revision, adapter, members: names.length, tokenizer: tokenizer.size > 0 };
  for (const member of names) {
    await writeAtomically(join(folder, "members", member, CARD), modelCard({ ...subject, member }, facts));
  }
  await writeAtomically(join(folder, CARD), modelCard(subject, facts));
  const content = { members: names, weights: Object.fromEntries(ensemble.weights), rule: RULE };
  await writeAtomically(join(folder, "ensemble.json"), `${JSON.stringify(content, null, 2)}\n`);
  return names;
}

/** `owner/name@revision` in two, as transformers and PEFT have them; any other name as it is. */
function namedModel(name: string | null): { baseModel: string | null; revision?: string } {
  const [, id, revision] = /^(\w[\w.-]*\/\w[\w.-]*)@(\w[\w./-]*)$/.exec(name ?? "") ?? [];
  return id === undefined || revision === undefined ? { baseModel: name } : { baseModel: id, revision };
}

/** A second name for a file: a tokenizer may take 30 MB, and an ensemble has many members. */
async function linkOrCopy(from: string, to: string): Promise<void> {
  makeFolder(dirname(to), { mode: PRIVATE_FOLDER });
  await link(from, to).catch(() => copyFile(from, to));
}

/** Ten thousand clients with twenty weights each take 5 MB. */
const MAX_ENSEMBLE_BYTES = 100_000_000;

export interface ReadEnsemble {
  /** Folders of adapters, one per member. */
  readonly members: readonly string[];
  /** One per member. */
  readonly weights: readonly number[];
}

/**
 * The folders of a written ensemble's members, and one client's weights.
 * @throws {KindredError} `invalid_adapter` for a folder without a valid ensemble.json; `not_found` for an unknown client, naming known
 *   clients
 */
export async function readEnsemble(folder: string, client: string): Promise<ReadEnsemble> {
  const file = join(folder, "ensemble.json");
  if (!existsSync(file)) {
    const message = `${folder}: has no ensemble.json; name a folder that kindred export wrote, or the ensemble/ in a client's state`;
    throw new KindredError("invalid_adapter", message, { folder });
  }
  const content = await readJsonObject(file, { maxBytes: MAX_ENSEMBLE_BYTES, code: "invalid_adapter" });
  const invalid = (message: string): KindredError =>
    new KindredError("invalid_adapter", `${file}: ${message}`, { file });
  const { members, weights, rule } = content;
  // A name is a folder in members/, and must not lead to another place.
  const isName = (name: unknown): name is string =>
    typeof name === "string" && name !== "" && name !== "." && name !== ".." && basename(name) === name;
  if (!Array.isArray(members) || members.length === 0 || !members.every(isName)) {
    throw invalid("members is not a list of names of folders in members/");
  }
  if (!isObject(weights)) throw invalid("weights is not an object of clients");
  if (rule !== RULE) throw invalid(`rule is ${JSON.stringify(rule)}; only ${JSON.stringify(RULE)} is known`);
  const own = Object.hasOwn(weights, client) ? weights[client] : undefined;
  if (own === undefined) {
    const known = Object.keys(weights);
    const some = known.slice(0, 20).join(", ");
    throw new KindredError(
      "not_found",
      `${file}: has no client ${JSON.stringify(client)}; known clients: ${some}${known.length > 20 ? ` and ${known.length - 20} more` : ""}`,
      { file, client },
    );
  }
  if (!Array.isArray(own) || own.length !== members.length || !own.every(Number.isFinite)) {
    throw invalid(`the weights of client ${JSON.stringify(client)} are not ${members.length} numbers, one per member`);
  }
  return { members: members.map((name) => join(folder, "members", name)), weights: own as number[] };
}
