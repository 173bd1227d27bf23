/**
 * Reads and writes LoRA adapters as folders of PEFT (adapter_config.json, adapter_model.safetensors). It knows no model except for
 * PEFT's special case of GPT-2's linears: client/tuning checks whether the modules and shapes fit a base model.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeAtomically } from "../base/atomic.js";
import { KindredError } from "../base/errors.js";
import { brief, readJsonObject } from "../base/json.js";
import type { FloatTensor, NamedTensors } from "../base/tensors.js";
import { adapterFiles, checkFinite, invalid } from "./checks.js";
import { readPeftSettings } from "./peft-config.js";
import { readSafetensorsHeader, readTensor, writeSafetensors } from "./safetensors.js";
import { type Scaled, withOneRank } from "./scale.js";
import { chooseTargets, isTarget, type Target } from "./targets.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";
/** Of an export: the folder of its adapters. */
const MEMBERS = "members";

/** PEFT's prefix of the names of the base model's modules. */
const PREFIX = "base_model.model.";

/** Real files are under 10 KB. */
const MAX_CONFIG_BYTES = 1_000_000;

/** LoRA (Hu et al. 2021, arXiv 2106.09685) on some linears of a base model: W + scale * B A. */
export interface PeftAdapter extends Scaled {
  /** Probability in training; has no other effect. */
  readonly dropout: number;
  /** Module names or their last parts, as in PEFT; or every linear but the head. */
  readonly targetModules: readonly string[] | "all-linear";
  /**
   * By the base model's module names: "model.layers.0.self_attn.q_proj.lora_A.weight" [rank, in] and
   * "... .lora_B.weight" [out, rank]. Every module has both. All values are finite.
   */
  readonly tensors: NamedTensors;
}

/**
 * An adapter as read. Where modules differ in rank or alpha, all get one (scale.ts). Where a list of names does not determine the
 * modules, `targetModules` has their full names.
 */
export interface ReadPeftAdapter extends PeftAdapter {
  /** base_model_name_or_path, for display alone: it comes with the adapter and is never opened or fetched. */
  readonly baseModel: string | null;
}

/**
 * The linears that tensors adapt, as target_modules names them: "model.layers.0.mlp.up_proj.lora_A.weight" -> "up_proj". Two of
 * GPT-2's linears share their last part; they are "attn.c_proj" and "mlp.c_proj".
 */
export function adaptedModules(tensors: NamedTensors): string[] {
  const named = (name: string): string => {
    const [parent, module] = name.split(".").slice(-4, -2) as [string, string];
    return module === "c_proj" ? `${parent}.${module}` : module;
  };
  return [...new Set([...tensors.keys()].map(named))];
}

/** The linears of GPT-2 are Conv1D modules with weights [in, out], which PEFT calls fan_in_fan_out. */
const CONV1D: ReadonlySet<string | undefined> = new Set(["c_attn", "c_proj", "c_fc"]);

const MERGE = "merge the adapter into its base with PEFT's merge_and_unload, and use the result as the model";

/** Names of output layers. */
const HEADS: ReadonlySet<string> = new Set(["lm_head", "embed_out"]);

interface Part {
  readonly module: string;
  readonly factor: "A" | "B";
}

/** Splits "model.layers.0.mlp.up_proj.lora_A.weight". @throws {KindredError} `unsupported` for anything else */
function partOf(name: string, source: string): Part {
  const refuse = (why: string): KindredError =>
    new KindredError("unsupported", `${source}: tensor ${brief(name)} ${why}`, { file: source, tensor: name });
  if (/\.lora_embedding_[AB]$/.test(name)) throw refuse(`adapts an embedding, which is not supported; ${MERGE}`);
  const match = /^(.+)\.lora_([AB])\.weight$/s.exec(name);
  if (match === null) {
    throw refuse(
      `is not a lora_A.weight or lora_B.weight; a weight in place of the model's is not supported; ${MERGE}`,
    );
  }
  const [, module, factor] = match as unknown as [string, string, Part["factor"]];
  if (HEADS.has(module.slice(module.lastIndexOf(".") + 1))) {
    throw refuse(`adapts the model's head, which is not supported; ${MERGE}`);
  }
  return { module, factor };
}

/**
 * The tensors' names in the file, by their names without PEFT's prefix and without the adapter's own name. PEFT's save_pretrained
 * leaves the adapter's name out, a plain state_dict has it: "lora_A.default.weight". PEFT loads both as "default"; tensors of another
 * name, or without the prefix, it leaves out with a warning.
 */
function storedNames(names: Iterable<string>, source: string): Map<string, string> {
  const stored = new Map<string, string>();
  for (const found of names) {
    const refuse = (why: string): KindredError =>
      invalid(`${source}: tensor ${brief(found)} ${why}`, { file: source, tensor: found });
    if (!found.startsWith(PREFIX)) {
      throw refuse(`does not start with ${PREFIX}, as PEFT's names do; put it in front of the tensors' names`);
    }
    const [, module, own, end] = /^(.+\.lora_[AB])\.([^.]+)(\.weight)$/s.exec(found) ?? [];
    if (own !== undefined && own !== "default") {
      throw refuse(`is of the adapter ${brief(own)}; rename it to ${brief(`${module}${end}`)}`);
    }
    const name = (own === undefined ? found : `${module}${end}`).slice(PREFIX.length);
    if (stored.has(name)) throw refuse(`is there twice: with the adapter's name and without; remove one`);
    stored.set(name, found);
  }
  return stored;
}

/** The full names of the tensors' modules, sorted. @throws {KindredError} `unsupported` for a tensor of another kind */
export function modulesOf(tensors: Iterable<string>, source: string): string[] {
  return [...new Set(Array.from(tensors, (name) => partOf(name, source).module))].sort();
}

/** Checks that every module is a target and has an A [rank, in] and a B [out, rank]. @param rankOf undefined where it is no target */
function checkTensors(
  shapes: Iterable<readonly [name: string, shape: readonly number[]]>,
  rankOf: (module: string) => number | undefined,
  source: string,
): void {
  const parts = new Map<string, string>();
  for (const [name, shape] of shapes) {
    const { module, factor } = partOf(name, source);
    const rank = rankOf(module);
    if (rank === undefined)
      throw invalid(`${source}: tensor ${brief(name)} belongs to a module that target_modules does not name`, {
        file: source,
        tensor: name,
      });
    if (shape.length !== 2 || shape[factor === "A" ? 0 : 1] !== rank)
      throw invalid(
        `${source}: tensor ${brief(name)} has the shape [${shape.join(", ")}]; ` +
          `with r ${rank} it must be ${factor === "A" ? `[${rank}, in]` : `[out, ${rank}]`}`,
        { file: source, tensor: name, rank },
      );
    parts.set(module, (parts.get(module) ?? "") + factor);
  }
  if (parts.size === 0) throw invalid(`${source}: has no tensors`, { file: source });
  for (const [module, have] of parts)
    if (have.length !== 2) {
      const missing = have === "A" ? "lora_B" : "lora_A";
      throw invalid(`${source}: ${brief(module)} has no ${missing}.weight`, { file: source, tensor: module });
    }
}

/**
 * The adapters in a folder of several, as PEFT saves those that have names, trainers their checkpoints, and an export its members;
 * empty without any.
 */
async function below(folder: string): Promise<string> {
  const foldersIn = async (path: string): Promise<string[]> =>
    (await readdir(path, { withFileTypes: true })).filter((each) => each.isDirectory()).map(({ name }) => name);
  const own = await foldersIn(folder);
  const members = own.includes(MEMBERS) ? await foldersIn(join(folder, MEMBERS)) : [];
  const names = [...own, ...members.map((name) => `${MEMBERS}/${name}`)];
  const found = names.filter((name) => existsSync(join(folder, name, CONFIG))).sort();
  if (found.length === 0) return "";
  return `; name one of the folders in it: ${found.slice(0, 8).join(", ")}${found.length > 8 ? ", ..." : ""}`;
}

/**
 * Reads a folder of PEFT.
 * @throws {KindredError} `invalid_adapter`, or `unsupported` naming the field that would change the result and its value
 */
export async function readPeftAdapter(folder: string): Promise<ReadPeftAdapter> {
  const path = resolve(folder);
  const names = await adapterFiles(path);
  if (!names.includes(CONFIG))
    throw invalid(`${path}: is not a PEFT adapter's folder; looked for ${CONFIG} and ${WEIGHTS}${await below(path)}`, {
      folder: path,
    });
  const configPath = join(path, CONFIG);
  const config = await readJsonObject(configPath, { maxBytes: MAX_CONFIG_BYTES, code: "invalid_adapter" });
  const { targets, useRslora, dropout, baseModel } = readPeftSettings(config, configPath);

  if (!names.includes(WEIGHTS)) {
    if (names.includes("adapter_model.bin"))
      throw new KindredError(
        "unsupported",
        `${path}: adapter_model.bin is a pickle, which can run code when loaded; convert it with ` +
          `python -c "import torch, safetensors.torch as s; ` +
          `s.save_file(torch.load('adapter_model.bin', weights_only=True), '${WEIGHTS}')" in that folder`,
        { folder: path },
      );
    throw invalid(`${join(path, WEIGHTS)}: no such file`, { folder: path });
  }
  const file = await readSafetensorsHeader(join(path, WEIGHTS), { code: "invalid_adapter" });
  const stored = storedNames(file.tensors.keys(), file.path);
  const shapes = new Map(Array.from(stored, ([name, found]) => [name, file.tensors.get(found)!.shape] as const));
  // Shapes first: no tensor is read from a file that contradicts its configuration.
  const modules = modulesOf(shapes.keys(), file.path);
  const chosen = chooseTargets(targets, modules, configPath);
  checkTensors(shapes, (module) => chosen.get(module)?.rank, file.path);
  const tensors = new Map<string, FloatTensor>();
  for (const [name, shape] of shapes) {
    const tensor = { shape, data: await readTensor(file, stored.get(name)!) };
    checkFinite(name, tensor, file.path);
    tensors.set(name, tensor);
  }
  const whole = targets.layers.length === 0 && Array.isArray(targets.exclude) && targets.exclude.length === 0;
  const listed = targets.modules === "all-linear" || Array.isArray(targets.modules);
  return {
    ...withOneRank(tensors, (name) => chosen.get(partOf(name, file.path).module) as Target, useRslora, file.path),
    dropout,
    targetModules: whole && listed ? (targets.modules as PeftAdapter["targetModules"]) : modules,
    baseModel,
  };
}

export interface WritePeftOptions {
  /** The value of base_model_name_or_path: the base model's name or folder. */
  readonly baseModel: string | null;
  /** Of a base model on the hub. @default its newest */
  readonly revision?: string | undefined;
}

/**
 * Writes a folder that PEFT loads (PeftModel.from_pretrained), in float32. The configuration is written last: a folder that has it
 * is complete.
 * @throws {KindredError} `invalid_adapter` where a tensor contradicts the adapter's fields, or is not finite
 */
export async function writePeftAdapter(folder: string, adapter: PeftAdapter, options: WritePeftOptions): Promise<void> {
  const shapes = [...adapter.tensors].map(([name, { shape }]) => [name, shape] as const);
  checkTensors(shapes, (module) => (isTarget(module, adapter.targetModules) ? adapter.rank : undefined), folder);
  const tensors = new Map<string, FloatTensor>();
  for (const [name, tensor] of adapter.tensors) {
    checkFinite(name, tensor, folder);
    tensors.set(PREFIX + name, tensor);
  }
  const { targetModules } = adapter;
  const config = {
    base_model_name_or_path: options.baseModel,
    bias: "none",
    fan_in_fan_out: [...adapter.tensors.keys()].every((name) => CONV1D.has(name.split(".").at(-3))),
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: adapter.alpha,
    lora_dropout: adapter.dropout,
    modules_to_save: null,
    peft_type: "LORA",
    r: adapter.rank,
    ...(options.revision === undefined ? {} : { revision: options.revision }),
    target_modules: targetModules === "all-linear" ? targetModules : [...targetModules].sort(),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: adapter.useRslora,
  };
  await writeSafetensors(join(folder, WEIGHTS), tensors, { metadata: { format: "pt" }, order: "name" });
  await writeAtomically(join(folder, CONFIG), `${JSON.stringify(config, undefined, 2)}\n`);
}
