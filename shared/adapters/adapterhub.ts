/**
 * Reads and writes bottleneck adapters as folders of AdapterHub's library, `adapters` (adapter_config.json, adapter.safetensors). It
 * knows no model: client/tuning checks whether blocks and width fit a base model.
 *
 * Fields follow adapters 1.3 (adapters/configuration/adapter_config.py, BnConfig; their meaning in a model with LayerNorms before
 * attention and feed-forward: adapters/methods/modeling.py, Adapter). A setting that would change the model's output and is not
 * supported is refused by name. An unknown field is accepted only with a value that switches it off.
 */
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { writeAtomically } from "../base/atomic.js";
import { type Facts, KindredError } from "../base/errors.js";
import { brief, isObject, readJsonObject } from "../base/json.js";
import type { FloatTensor, NamedTensors } from "../base/tensors.js";
import { bottleneckError } from "./bottleneck.js";
import { adapterFiles, checkFinite, invalid, isOff } from "./checks.js";
import { readSafetensorsHeader, readTensor, writeSafetensors } from "./safetensors.js";
import { BOTTLENECK_ACTIVATIONS, BOTTLENECK_KINDS, type BottleneckSettings } from "./settings.js";

const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter.safetensors";
const PICKLE = "pytorch_adapter.bin";
const HEAD_CONFIG = "head_config.json";
const FUSION_CONFIG = "adapter_fusion_config.json";

/** Real files are under 10 KB. */
const MAX_CONFIG_BYTES = 1_000_000;

export type BottleneckShape = Pick<BottleneckSettings, "kind" | "reduction" | "activation">;

export interface BottleneckAdapter extends BottleneckShape {
  /** Probability in training, on the adapter's output; has no other effect. */
  readonly dropout: number;
  /** A whole adapter by the names of shared/adapters/bottleneck.ts; all values are finite. */
  readonly tensors: NamedTensors;
}

export interface ReadBottleneckAdapter extends BottleneckAdapter {
  /** model_name, for display alone: it comes with the adapter and is never opened or fetched. */
  readonly baseModel: string | null;
}

type Json = Readonly<Record<string, unknown>>;

/** The difference between the kinds: the sites of adapters in a block, and whether the residual is added before them. */
const SITE_FIELDS = {
  houlsby: { mh_adapter: true, output_adapter: true, original_ln_before: false },
  pfeiffer: { mh_adapter: false, output_adapter: true, original_ln_before: true },
} as const;

/** Fields and the only supported values, which are also the library's defaults. */
const FIXED: Json = {
  cross_adapter: false,
  inv_adapter: null,
  is_parallel: false,
  leave_out: [],
  ln_after: false,
  ln_before: false,
  original_ln_after: true,
  phm_layer: false,
  residual_before_ln: true,
  scaling: 1,
  stochastic_depth: 0,
  use_gating: false,
};

/** Fields without effect on a stored adapter's output: its initialisation, and settings of features that must be off. */
const WITHOUT_EFFECT: ReadonlySet<string> = new Set([
  "adapter_residual_before_ln", // with ln_after
  "dropout",
  "factorized_phm_W", // these, with phm_layer
  "factorized_phm_rule",
  "hypercomplex_nonlinearity",
  "init_weights",
  "init_weights_seed",
  "inv_adapter_reduction_factor", // with inv_adapter
  "learn_phm",
  "phm_bias",
  "phm_c_init",
  "phm_dim",
  "phm_init_range",
  "phm_rank",
  "shared_W_phm",
  "shared_phm_rule",
]);

const UNDERSTOOD: ReadonlySet<string> = new Set([
  ...Object.keys(SITE_FIELDS.houlsby),
  ...Object.keys(FIXED),
  "architecture",
  "non_linearity",
  "reduction_factor",
]);

function unsupported(message: string, facts: Facts): KindredError {
  return new KindredError("unsupported", message, facts);
}

/** True where a folder's configuration is one of AdapterHub's library; one of PEFT names its `peft_type`. */
export async function hasAdapterHubLayout(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((): string[] => []); // the reader of the folder reports the reason
  if (!names.includes(CONFIG)) return names.includes(FUSION_CONFIG);
  const config = await readJsonObject(join(folder, CONFIG), { maxBytes: MAX_CONFIG_BYTES, code: "invalid_adapter" });
  return config.peft_type === undefined && config.config !== undefined;
}

function readSettings(file: Json, path: string): Omit<ReadBottleneckAdapter, "tensors"> & { readonly name: string } {
  const { name, version, model_name: model, config } = file;
  if (typeof name !== "string" || name === "")
    throw invalid(`${path}: name is ${brief(name)}; expected the adapter's name`);
  if (typeof version !== "string") {
    throw unsupported(`${path}: version is ${brief(version)}; older files mean other functions by the same names`, {
      file: path,
      field: "version",
    });
  }
  if (!isObject(config)) throw invalid(`${path}: config is ${brief(config)}; expected a map of settings`);
  const refuse = (field: string, hint: string): never => {
    throw unsupported(`${path}: config.${field} is ${brief(config[field])}; ${hint}`, { file: path, field });
  };
  if (config.architecture != null)
    refuse("architecture", "only bottleneck adapters can be read, which have no architecture");
  for (const [field, value] of Object.entries(FIXED)) {
    const given = config[field];
    if (given !== undefined && JSON.stringify(given) !== JSON.stringify(value)) {
      refuse(field, `only ${brief(value)} can be read`);
    }
  }
  for (const [field, value] of Object.entries(config)) {
    if (WITHOUT_EFFECT.has(field) || UNDERSTOOD.has(field) || isOff(value)) continue;
    refuse(field, "it changes what the adapter computes and is not supported");
  }
  const kind = BOTTLENECK_KINDS.find((candidate) =>
    Object.entries(SITE_FIELDS[candidate]).every(([field, value]) => (config[field] ?? false) === value),
  );
  if (kind === undefined) {
    const shown = (fields: Json): string =>
      Object.keys(SITE_FIELDS.houlsby)
        .map((field) => `${field} ${brief(fields[field])}`)
        .join(", ");
    throw unsupported(
      `${path}: config has ${shown(config)}; only Houlsby's (${shown(SITE_FIELDS.houlsby)}) and Pfeiffer's (${shown(SITE_FIELDS.pfeiffer)}) can be read`,
      { file: path },
    );
  }
  const activation = BOTTLENECK_ACTIVATIONS.find((known) => known === config.non_linearity);
  const { reduction_factor: reduction, dropout = 0 } = config;
  if (typeof reduction !== "number" || !(reduction >= 1))
    refuse("reduction_factor", "only a number of at least 1 can be read");
  if (typeof dropout !== "number" || !(dropout >= 0 && dropout < 1)) {
    throw invalid(`${path}: config.dropout must be from 0 to below 1, got ${brief(dropout)}`, { file: path });
  }
  return {
    name,
    kind,
    reduction: reduction as number,
    activation: activation ?? refuse("non_linearity", `only ${BOTTLENECK_ACTIVATIONS.join(", ")} can be read`),
    dropout,
    baseModel: typeof model === "string" ? model : null,
  };
}

/** The part of a tensor's name with the adapter's name, as AdapterHub's library writes it. */
const infix = (name: string): string => `_adapters.adapters.${name}.`;

/**
 * Reads a folder of AdapterHub's library, written with `save_adapter(..., with_head=False, use_safetensors=True)`.
 * @throws {KindredError} `invalid_adapter`, or `unsupported` naming the field that would change the result and its value
 */
export async function readBottleneckAdapter(folder: string): Promise<ReadBottleneckAdapter> {
  const path = resolve(folder);
  const names = await adapterFiles(path);
  if (names.includes(FUSION_CONFIG))
    throw unsupported(`${join(path, FUSION_CONFIG)}: fusion is not supported`, { folder: path });
  if (names.includes(HEAD_CONFIG)) {
    throw unsupported(
      `${join(path, HEAD_CONFIG)}: a head beside the adapter is not supported; save with save_adapter(..., with_head=False)`,
      { folder: path },
    );
  }
  const configPath = join(path, CONFIG);
  const config = await readJsonObject(configPath, { maxBytes: MAX_CONFIG_BYTES, code: "invalid_adapter" });
  const { name: own, ...settings } = readSettings(config, configPath);
  if (!names.includes(WEIGHTS)) {
    if (names.includes(PICKLE)) {
      throw unsupported(
        `${path}: ${PICKLE} is a pickle, which can run code when loaded; save with save_adapter(..., use_safetensors=True)`,
        { folder: path },
      );
    }
    throw invalid(`${join(path, WEIGHTS)}: no such file`, { folder: path });
  }
  const file = await readSafetensorsHeader(join(path, WEIGHTS), { code: "invalid_adapter" });
  const stored = new Map<string, string>();
  for (const name of file.tensors.keys()) {
    if (!name.includes(infix(own)))
      throw invalid(`${file.path}: tensor ${brief(name)} does not belong to the adapter ${own}`, { file: file.path });
    stored.set(name.replace(infix(own), "_adapters."), name);
  }
  const shapes = new Map([...stored].map(([name, there]) => [name, file.tensors.get(there)!]));
  // Shapes first: no tensor is read from a file that contradicts its configuration.
  const problem = bottleneckError(shapes, settings);
  if (problem !== undefined) throw invalid(`${file.path}: ${problem}`, { file: file.path });
  const tensors = new Map<string, FloatTensor>();
  for (const [name, { shape }] of shapes) {
    const tensor = { shape, data: await readTensor(file, stored.get(name) as string) };
    checkFinite(name, tensor, file.path);
    tensors.set(name, tensor);
  }
  return { ...settings, tensors };
}

export interface WriteBottleneckOptions {
  /** The adapter's name in the library. */
  readonly name: string;
  /** The value of model_name: the base model's name or folder. */
  readonly baseModel: string | null;
}

/**
 * Writes a folder that AdapterHub's library loads (`model.load_adapter(folder, use_safetensors=True)`), in float32. The configuration
 * is written last: a folder that has it is complete.
 * @throws {KindredError} `invalid_adapter` where the tensors contradict the adapter's fields, or are not finite
 */
export async function writeBottleneckAdapter(
  folder: string,
  { kind, reduction, activation, dropout, tensors }: BottleneckAdapter,
  { name, baseModel }: WriteBottleneckOptions,
): Promise<void> {
  const problem = bottleneckError(tensors, { kind, reduction });
  if (problem !== undefined) throw invalid(`${folder}: ${problem}`, { folder });
  // A module's name in PyTorch, which may not have dots.
  const own = name.replaceAll(".", "_");
  const named = new Map<string, FloatTensor>();
  for (const [key, tensor] of tensors) {
    checkFinite(key, tensor, folder);
    named.set(
      key.replace(/_adapters\.(?=adapter_)/, () => infix(own)),
      tensor,
    );
  }
  // The library reads JSON's integer 1 as an unknown word; without the field, its default 1.0 applies.
  const { scaling: _, ...fixed } = FIXED;
  const config = {
    config: {
      ...fixed,
      ...SITE_FIELDS[kind],
      adapter_residual_before_ln: false,
      dropout,
      init_weights: "mam_adapter",
      non_linearity: activation,
      reduction_factor: reduction,
    },
    model_name: baseModel,
    name: own,
    version: "adapters.1.3.0",
  };
  await writeSafetensors(join(folder, WEIGHTS), named, { metadata: { format: "pt" }, order: "name" });
  await writeAtomically(join(folder, CONFIG), `${JSON.stringify(config, undefined, 2)}\n`);
}
