/**
 * Reads adapter_config.json of a PEFT folder. Fields follow PEFT 0.21 (peft/tuners/lora/config.py). A setting that would change the
 * model's output and is not supported is refused by name. An unknown field is accepted only with a value that switches it off.
 */
import { KindredError } from "../base/errors.js";
import { brief, isObject } from "../base/json.js";
import { isOff } from "./checks.js";
import type { Names, Targets } from "./targets.js";

/** Above any base model's hidden size. */
const MAX_RANK = 65_536;

/**
 * Fields without effect on a stored adapter's output: provenance, settings of training, and settings of features that must be off.
 */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "auto_mapping",
  "base_model_name_or_path",
  "corda_config", // with init_lora_weights corda
  "ensure_weight_tying", // of modules_to_save and embeddings
  "eva_config", // with init_lora_weights eva
  "fan_in_fan_out", // how the base model stores a weight: has an effect only when B A is merged into it
  "inference_mode",
  "loftq_config", // with init_lora_weights loftq
  "lora_dropout",
  "lora_ga_config", // with init_lora_weights lora_ga
  "megatron_core", // with megatron_config
  "merge_weights", // of PEFT 0.2 and before: whether evaluation merges
  "peft_version",
  "qalora_group_size", // with use_qalora
  "revision",
  "runtime_config",
  "velora_config", // activations that training keeps
]);

/** Fields that this file reads. */
const UNDERSTOOD: ReadonlySet<string> = new Set([
  "alpha_pattern",
  "bias",
  "exclude_modules",
  "init_lora_weights",
  "layers_pattern",
  "layers_to_transform",
  "lora_alpha",
  "peft_type",
  "r",
  "rank_pattern",
  "target_modules",
  "task_type",
  "use_rslora",
]);

/** Initialisations that leave the base model's weights as they are; all others change them. */
const SUPPORTED_INITIALISATIONS: ReadonlySet<unknown> = new Set([
  undefined,
  null,
  true,
  false,
  "gaussian",
  "eva",
  "mica",
  "orthogonal",
]);

export interface PeftSettings {
  readonly targets: Targets;
  readonly dropout: number;
  readonly useRslora: boolean;
  readonly baseModel: string | null;
}

/** Reads and checks the settings. @throws {KindredError} `unsupported` or `invalid_adapter`, naming file, field and value */
export function readPeftSettings(config: Readonly<Record<string, unknown>>, path: string): PeftSettings {
  const refuse = (field: string, hint: string): never => {
    throw new KindredError("unsupported", `${path}: ${field} is ${brief(config[field])}; ${hint}`, {
      file: path,
      field,
    });
  };
  if (config.peft_type !== "LORA") refuse("peft_type", "only LORA can be read");
  if (config.task_type != null && config.task_type !== "CAUSAL_LM") refuse("task_type", "only CAUSAL_LM can be read");
  if (config.bias != null && config.bias !== "none") refuse("bias", 'only "none" can be read');
  if (config.init_lora_weights === "loftq")
    refuse("init_lora_weights", "its base model is the one that LoftQ made; merge the adapter into that model");
  if (!SUPPORTED_INITIALISATIONS.has(config.init_lora_weights))
    refuse(
      "init_lora_weights",
      "it changes the base model's weights; save the adapter with PEFT's path_initial_model_for_weight_conversion, " +
        "which makes a plain LoRA",
    );
  for (const [field, value] of Object.entries(config)) {
    if (WITHOUT_EFFECT.has(field) || UNDERSTOOD.has(field) || isOff(value)) continue;
    refuse(field, "it changes what the adapter computes and is not supported");
  }

  const { r: rank = 8, lora_alpha: alpha = 8, lora_dropout: dropout = 0 } = config;
  const wrong = (field: string, wanted: string): never => {
    const message = `${path}: ${field} must be ${wanted}, got ${brief(config[field])}`;
    throw new KindredError("invalid_adapter", message, { file: path, field });
  };
  if (typeof rank !== "number" || !isRank(rank)) return wrong("r", `1 to ${MAX_RANK}`);
  if (typeof alpha !== "number" || !(alpha > 0 && alpha < Number.POSITIVE_INFINITY)) {
    return wrong("lora_alpha", "a positive number");
  }
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) return wrong("lora_dropout", "from 0 to below 1");
  if (config.use_rslora != null && typeof config.use_rslora !== "boolean") return wrong("use_rslora", "true or false");
  const namesOf = (field: string): Names => {
    const value = config[field] || [];
    if (typeof value === "string") return { pattern: value };
    return isTexts(value) ? [...new Set(value)].sort() : wrong(field, "a list of module names, or a pattern");
  };
  const valuesOf = (field: string, sound: (value: number) => boolean, wanted: string): Map<string, number> => {
    const value = config[field] ?? {};
    const entries = isObject(value) ? Object.entries(value) : [];
    if (!isObject(value) || !entries.every(([, value]) => typeof value === "number" && sound(value))) {
      return wrong(field, `an object of module names or patterns with ${wanted}`);
    }
    return new Map(entries as [string, number][]);
  };
  const targets = config.target_modules;
  const all = typeof targets === "string" && targets.toLowerCase() === "all-linear";
  const modules = all ? "all-linear" : namesOf("target_modules");
  if (Array.isArray(modules) && modules.length === 0) {
    return wrong("target_modules", 'a list of module names, a pattern, or "all-linear"');
  }
  const layers = [config.layers_to_transform ?? []].flat();
  if (!layers.every((layer) => Number.isSafeInteger(layer))) {
    return wrong("layers_to_transform", "a layer's number, or a list of them");
  }
  if (layers.length > 0 && !Array.isArray(modules)) {
    return wrong("layers_to_transform", "absent where target_modules is not a list, as in PEFT");
  }
  const layerPatterns = [config.layers_pattern || []].flat();
  if (!isTexts(layerPatterns)) return wrong("layers_pattern", "a pattern, or a list of them");
  const base = config.base_model_name_or_path;
  return {
    targets: {
      modules,
      exclude: namesOf("exclude_modules"),
      layers: layers as number[],
      layerPatterns,
      rank,
      alpha,
      ranks: valuesOf("rank_pattern", isRank, `ranks from 1 to ${MAX_RANK}`),
      alphas: valuesOf("alpha_pattern", Number.isFinite, "numbers"),
    },
    dropout,
    useRslora: config.use_rslora === true,
    baseModel: typeof base === "string" ? base : null,
  };
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((text) => typeof text === "string" && text !== "");

const isRank = (value: number): boolean => Number.isInteger(value) && value >= 1 && value <= MAX_RANK;
