/**
 * Bottleneck adapters as folders of AdapterHub's library, `adapters` (adapter_config.json, adapter.safetensors), in and out. It
 * knows no model: whether the blocks exist in a base model, and whether the width is its own, is for the model to say.
 *
 * Fields follow adapters 1.3 (adapters/configuration/adapter_config.py, BnConfig; what they mean in a model whose LayerNorms stand
 * before attention and feed-forward: adapters/methods/modeling.py, Adapter). What would change the model's output and is not done
 * here is refused by its name; a field that nobody here knows passes only with a value that says "off".
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

/** Real ones are under 10 KB. */
const MAX_CONFIG_BYTES = 1_000_000;

export type BottleneckShape = Pick<BottleneckSettings, "kind" | "reduction" | "activation">;

export interface BottleneckAdapter extends BottleneckShape {
  /** Of the adapter's output while training; without effect otherwise. */
  readonly dropout: number;
  /** By the names of shared/adapters/bottleneck.ts: a whole adapter, all values finite. */
  readonly tensors: NamedTensors;
}

export interface ReadBottleneckAdapter extends BottleneckAdapter {
  /** model_name: for a person to read. It comes with the adapter and is never opened or fetched. */
  readonly baseModel: string | null;
}

type Json = Readonly<Record<string, unknown>>;

/** What tells the kinds apart: where adapters stand in a block, and whether the residual is added before them. */
const PLACES = {
  houlsby: { mh_adapter: true, output_adapter: true, original_ln_before: false },
  pfeiffer: { mh_adapter: false, output_adapter: true, original_ln_before: true },
} as const;

/** Must have these values, which are the library's own where a field is absent. */
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

/** Without effect on what a stored adapter computes: how it was drawn, and settings of fields that must be off. */
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
  ...Object.keys(PLACES.houlsby),
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
  const names = await readdir(folder).catch((): string[] => []); // whoever reads the folder says why it cannot be
  if (!names.includes(CONFIG)) return names.includes(FUSION_CONFIG);
  const config = await readJsonObject(join(folder, CONFIG), { maxBytes: MAX_CONFIG_BYTES, code: "invalid_adapter" });
  return config.peft_type === undefined && config.config !== undefined;
}

function readSettings(file: Json, path: string): Omit<ReadBottleneckAdapter, "tensors"> & { readonly name: string } {
  const { name, version, model_name: model, config } = file;
  if (typeof name !== "string" || name === "") throw invalid(`${path}: name is ${brief(name)}; expected the adapter's`);
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
  if (config.architecture != null) refuse("architecture", "only bottleneck adapters can be read, which have none");
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
    Object.entries(PLACES[candidate]).every(([field, value]) => (config[field] ?? false) === value),
  );
  if (kind === undefined) {
    const shown = (places: Json): string =>
      Object.keys(PLACES.houlsby)
        .map((field) => `${field} ${brief(places[field])}`)
        .join(", ");
    throw unsupported(
      `${path}: config has ${shown(config)}; only Houlsby's (${shown(PLACES.houlsby)}) and Pfeiffer's (${shown(PLACES.pfeiffer)}) can be read`,
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

/** What AdapterHub's library puts into the names of tensors: the adapter's own. */
const infix = (name: string): string => `_adapters.adapters.${name}.`;

/**
 * Reads a folder as AdapterHub's library writes it with `save_adapter(..., with_head=False, use_safetensors=True)`.
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
      throw invalid(`${file.path}: tensor ${brief(name)} is not of the adapter ${own}`, { file: file.path });
    stored.set(name.replace(infix(own), "_adapters."), name);
  }
  const shapes = new Map([...stored].map(([name, there]) => [name, file.tensors.get(there)!]));
  // Shapes first: nothing is read of a file that does not hold what its configuration says.
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
  /** The adapter's own name, by which the library will know it. */
  readonly name: string;
  /** What model_name says: the base model's name or folder. */
  readonly baseModel: string | null;
}

/**
 * Writes a folder that AdapterHub's library loads (`model.load_adapter(folder, use_safetensors=True)`), float32. The
 * configuration goes last: a folder that has it is whole.
 * @throws {KindredError} `invalid_adapter` where the tensors are not what the adapter's fields say, or not finite
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
  // The library would take JSON's 1 for a word that it does not know; where there is none, its own 1.0 counts.
  const { scaling: _, ...fixed } = FIXED;
  const config = {
    config: {
      ...fixed,
      ...PLACES[kind],
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
