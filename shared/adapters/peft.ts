/**
 * LoRA adapters as folders of PEFT (adapter_config.json, adapter_model.safetensors), in and out. It knows no model, but for what
 * PEFT says differently of GPT-2's linears: whether the modules exist in a base model, and whether the shapes fit it, is for the
 * model to say.
 *
 * Fields follow PEFT 0.21 (peft/tuners/lora/config.py). Whatever would change the model's output and is not done here is
 * refused by its name; a field that nobody here knows passes only with a value that says "off".
 */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeAtomically } from "../base/atomic.js";
import { type Facts, KindredError } from "../base/errors.js";
import { readJsonObject, reasonOf } from "../base/json.js";
import type { FloatTensor, NamedTensors } from "../base/tensors.js";
import { readSafetensorsHeader, readTensor, writeSafetensors } from "./safetensors.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter_model.safetensors";

/** What PEFT puts before the names of the base model's modules. */
const PREFIX = "base_model.model.";

/** Real ones are under 10 KB. */
const MAX_CONFIG_BYTES = 1_000_000;
/** Above any base model's hidden size. */
const MAX_RANK = 65_536;

/** LoRA (Hu et al. 2021, arXiv 2106.09685) on some linears of a base model: W + scale * B A. */
export interface PeftAdapter {
  readonly rank: number;
  readonly alpha: number;
  /** Of the adapter's input while training; without effect otherwise. */
  readonly dropout: number;
  /** Module names or their last parts, as PEFT has them; or every linear but the head. */
  readonly targetModules: readonly string[] | "all-linear";
  /** scale = alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv 2312.03732). */
  readonly useRslora: boolean;
  /**
   * By the base model's own module names: "model.layers.0.self_attn.q_proj.lora_A.weight" [rank, in] and
   * "... .lora_B.weight" [out, rank]. Every module has both. All values are finite.
   */
  readonly tensors: NamedTensors;
}

export interface ReadPeftAdapter extends PeftAdapter {
  /** base_model_name_or_path: for a person to read. It comes with the adapter and is never opened or fetched. */
  readonly baseModel: string | null;
}

/** The factor of B A. */
export function scaleOf(adapter: Pick<PeftAdapter, "rank" | "alpha" | "useRslora">): number {
  return adapter.alpha / (adapter.useRslora ? Math.sqrt(adapter.rank) : adapter.rank);
}

function invalid(message: string, facts: Facts = {}, cause?: unknown): KindredError {
  return new KindredError("invalid_adapter", message, facts, cause);
}

/**
 * Without effect on what a stored adapter computes: provenance, training's own settings, and settings of other fields
 * that are themselves refused unless they are off.
 */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "corda_config", // with init_lora_weights corda
  "eva_config", // with init_lora_weights eva
  "fan_in_fan_out", // how the base model stores a weight: of effect when B A is merged into it
  "inference_mode",
  "layers_pattern", // with layers_to_transform
  "loftq_config", // with init_lora_weights loftq
  "lora_dropout",
  "lora_ga_config", // with init_lora_weights lora_ga
  "megatron_core", // with megatron_config
  "peft_version",
  "qalora_group_size", // with use_qalora
  "revision",
  "runtime_config",
  "velora_config", // what training keeps of activations
]);

/** Read below, field by field. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  "bias",
  "init_lora_weights",
  "lora_alpha",
  "peft_type",
  "r",
  "target_modules",
  "task_type",
  "use_rslora",
]);

/** These start from the base's own weights or from noise, and leave the base as it is; the rest change it. */
const HARMLESS_STARTS: ReadonlySet<unknown> = new Set([undefined, null, true, false, "gaussian", "eva", "orthogonal"]);

/** Null, false, 0, and empty texts, lists and objects: a feature that is not used. */
function isOff(value: unknown): boolean {
  if (typeof value === "object" && value !== null) return Object.keys(value).length === 0;
  return !value;
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

type Settings = Omit<ReadPeftAdapter, "tensors">;

function readSettings(config: Readonly<Record<string, unknown>>, path: string): Settings {
  const refuse = (field: string, hint: string): never => {
    throw new KindredError("unsupported", `${path}: ${field} is ${brief(config[field])}; ${hint}`, {
      file: path,
      field,
    });
  };
  if (config.peft_type !== "LORA") refuse("peft_type", "only LORA can be read");
  if (config.task_type != null && config.task_type !== "CAUSAL_LM") refuse("task_type", "only CAUSAL_LM can be read");
  if (config.bias != null && config.bias !== "none") refuse("bias", 'only "none" can be read');
  if (!HARMLESS_STARTS.has(config.init_lora_weights))
    refuse(
      "init_lora_weights",
      "it changes the base model's weights; save the adapter with PEFT's path_initial_model_for_weight_conversion, " +
        "which makes a plain LoRA of it",
    );
  for (const [field, value] of Object.entries(config)) {
    if (WITHOUT_EFFECT.has(field) || UNDERSTOOD.has(field) || isOff(value)) continue;
    refuse(field, "it changes what the adapter computes and is not supported");
  }

  const { r: rank = 8, lora_alpha: alpha = 8, lora_dropout: dropout = 0, target_modules: targets } = config;
  const wrong = (field: string, wanted: string): never => {
    throw invalid(`${path}: ${field} must be ${wanted}, got ${brief(config[field])}`, { file: path, field });
  };
  if (typeof rank !== "number" || !Number.isInteger(rank) || rank < 1 || rank > MAX_RANK)
    return wrong("r", `1 to ${MAX_RANK}`);
  if (typeof alpha !== "number" || !Number.isFinite(alpha)) return wrong("lora_alpha", "a number");
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) return wrong("lora_dropout", "from 0 to below 1");
  if (config.use_rslora != null && typeof config.use_rslora !== "boolean") return wrong("use_rslora", "true or false");
  let targetModules: readonly string[] | "all-linear";
  if (targets === "all-linear") targetModules = targets;
  else if (typeof targets === "string") return refuse("target_modules", "patterns are not supported; list the names");
  else if (Array.isArray(targets) && targets.length > 0 && targets.every((name) => typeof name === "string" && name))
    targetModules = [...new Set<string>(targets)].sort();
  else return wrong("target_modules", 'a list of module names, or "all-linear"');
  const base = config.base_model_name_or_path;
  return {
    rank,
    alpha,
    dropout,
    targetModules,
    useRslora: config.use_rslora === true,
    baseModel: typeof base === "string" ? base : null,
  };
}

/** PEFT's rule whether a module is a target: by its whole name, or its end after a dot. */
export function isTarget(module: string, targets: readonly string[] | "all-linear"): boolean {
  return targets === "all-linear" || targets.some((name) => module === name || module.endsWith(`.${name}`));
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

/** The linears of GPT-2 are Conv1D modules, whose weights lie [in, out]: PEFT calls that fan_in_fan_out. */
const CONV1D: ReadonlySet<string | undefined> = new Set(["c_attn", "c_proj", "c_fc"]);

/** Splits "model.layers.0.mlp.up_proj.lora_A.weight"; undefined for anything else. */
function partsOf(name: string): { module: string; part: "A" | "B" } | undefined {
  const match = /^(.+)\.lora_([AB])\.weight$/s.exec(name);
  return match === null ? undefined : { module: match[1]!, part: match[2] as "A" | "B" };
}

/** Every module has an A [rank, in] and a B [out, rank], and is a target. */
function checkTensors(
  shapes: Iterable<readonly [name: string, shape: readonly number[]]>,
  { rank, targetModules }: Pick<PeftAdapter, "rank" | "targetModules">,
  source: string,
): void {
  const parts = new Map<string, string>();
  for (const [name, shape] of shapes) {
    const found = partsOf(name);
    if (found === undefined)
      throw new KindredError(
        "unsupported",
        `${source}: tensor ${brief(name)} is not a lora_A.weight or lora_B.weight`,
        {
          file: source,
          tensor: name,
        },
      );
    const { module, part } = found;
    if (!isTarget(module, targetModules))
      throw invalid(`${source}: tensor ${brief(name)} is of a module that target_modules does not name`, {
        file: source,
        tensor: name,
      });
    if (shape.length !== 2 || shape[part === "A" ? 0 : 1] !== rank)
      throw invalid(
        `${source}: tensor ${brief(name)} has the shape [${shape.join(", ")}]; ` +
          `with r ${rank} it must be ${part === "A" ? `[${rank}, in]` : `[out, ${rank}]`}`,
        { file: source, tensor: name, rank },
      );
    parts.set(module, (parts.get(module) ?? "") + part);
  }
  if (parts.size === 0) throw invalid(`${source}: has no tensors`, { file: source });
  for (const [module, have] of parts)
    if (have.length !== 2) {
      const missing = have === "A" ? "lora_B" : "lora_A";
      throw invalid(`${source}: ${brief(module)} has no ${missing}.weight`, { file: source, tensor: module });
    }
}

function checkFinite(name: string, { data }: FloatTensor, source: string): void {
  const at = data.findIndex((value) => !Number.isFinite(value));
  if (at >= 0)
    throw invalid(`${source}: tensor ${brief(name)} holds ${data[at]} at ${at}; adapters must be finite`, {
      file: source,
      tensor: name,
    });
}

/**
 * Reads a folder as PEFT writes it.
 * @throws {KindredError} `invalid_adapter`, or `unsupported` naming the field that would change the result and its value
 */
export async function readPeftAdapter(folder: string): Promise<ReadPeftAdapter> {
  const path = resolve(folder);
  let names: string[];
  try {
    names = await readdir(path);
  } catch (error) {
    throw invalid(`${path}: is not an adapter's folder (${reasonOf(error)})`, { folder: path }, error);
  }
  if (!names.includes(CONFIG))
    throw invalid(`${path}: is not a PEFT adapter's folder; looked for ${CONFIG} and ${WEIGHTS}`, { folder: path });
  const configPath = join(path, CONFIG);
  const config = await readJsonObject(configPath, { maxBytes: MAX_CONFIG_BYTES, code: "invalid_adapter" });
  const settings = readSettings(config, configPath);

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
  const shapes = new Map<string, readonly number[]>();
  for (const [name, { shape }] of file.tensors) {
    if (!name.startsWith(PREFIX))
      throw invalid(`${file.path}: tensor ${brief(name)} does not start with ${PREFIX}, as PEFT's do`, {
        file: file.path,
        tensor: name,
      });
    shapes.set(name.slice(PREFIX.length), shape);
  }
  // Shapes first: nothing is read of a file that does not hold what its configuration says.
  checkTensors(shapes, settings, file.path);
  const tensors = new Map<string, FloatTensor>();
  for (const [name, shape] of shapes) {
    const tensor = { shape, data: await readTensor(file, PREFIX + name) };
    checkFinite(name, tensor, file.path);
    tensors.set(name, tensor);
  }
  return { ...settings, tensors };
}

export interface WritePeftOptions {
  /** What base_model_name_or_path says: the base model's name or folder. */
  readonly baseModel: string | null;
}

/**
 * Writes a folder that PEFT loads (PeftModel.from_pretrained), float32. The configuration goes last: a folder that has it
 * is whole.
 * @throws {KindredError} `invalid_adapter` where a tensor is not what the adapter's fields say, or not finite
 */
export async function writePeftAdapter(folder: string, adapter: PeftAdapter, options: WritePeftOptions): Promise<void> {
  checkTensors(
    [...adapter.tensors].map(([name, { shape }]) => [name, shape] as const),
    adapter,
    folder,
  );
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
    target_modules: targetModules === "all-linear" ? targetModules : [...targetModules].sort(),
    task_type: "CAUSAL_LM",
    use_dora: false,
    use_rslora: adapter.useRslora,
  };
  await writeSafetensors(join(folder, WEIGHTS), tensors, { metadata: { format: "pt" }, order: "name" });
  await writeAtomically(join(folder, CONFIG), `${JSON.stringify(config, undefined, 2)}\n`);
}
