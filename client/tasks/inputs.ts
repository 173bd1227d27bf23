/** What the commands on one file of rows read: the model, the rows as its tokens, and an adapter where one is given. */
import { hasAdapterHubLayout, readBottleneckAdapter } from "../../shared/adapters/adapterhub.js";
import { adaptedModules, modulesOf, readPeftAdapter } from "../../shared/adapters/peft.js";
import { isTarget } from "../../shared/adapters/targets.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import type { NamedTensors } from "../../shared/base/tensors.js";
import type { EndOfText } from "../../shared/config/enumerations.js";
import type { RowFormat } from "../../shared/config/format.js";
import type { Quantization } from "../../shared/quantization/layout.js";
import { RowEncoder } from "../data/encode.js";
import { readAllRows } from "../data/readers.js";
import type { EncodedRow } from "../data/types.js";
import { type Architecture, moduleNames } from "../models/architecture.js";
import type { BaseModel } from "../models/base.js";
import { openModel } from "../models/open.js";
import { type AdapterLayout, type AdapterValues, adapterFromTensors } from "../tuning/adapter.js";
import { bottleneckLayout } from "../tuning/bottleneck.js";
import { type LoraLayout, loraLayout } from "../tuning/lora.js";
import { encodingOf, warnOfTruncation } from "./encoding.js";

export interface InputFiles {
  /** Folder, GGUF file or hub id. */
  readonly model: string;
  readonly quantization: Quantization | "none";
  /** Folder of an adapter, as PEFT or AdapterHub's library saves it. */
  readonly adapter?: string;
  /** File of rows. */
  readonly data: string;
  readonly maxTokens: number;
  readonly endOfText: EndOfText;
  readonly format: RowFormat;
}

export interface Inputs {
  readonly base: BaseModel;
  readonly rows: readonly EncodedRow[];
  /** `file:LINE` of each row. */
  readonly names: readonly string[];
  readonly adapter?: { readonly layout: AdapterLayout; readonly values: AdapterValues };
}

/** @throws {KindredError} `invalid_data` for a file without rows, and what reading a model, rows or an adapter throws */
export async function openInputs(files: InputFiles, context: JobContext): Promise<Inputs> {
  const examples = await readAllRows(files.data, files.format);
  if (examples.length === 0) {
    throw new KindredError("invalid_data", `${files.data}: has no rows; give a file with at least one`, {
      file: files.data,
    });
  }
  const model = await openModel(files.model, { ...context, quantization: files.quantization });
  const { base } = model;
  const encoding = encodingOf(model, files, context.log);
  const encoder = new RowEncoder(model.tokenizer, encoding);
  const rows = await encoder.encode(examples);
  warnOfTruncation(encoder, rows.length, encoding, context.log);
  const names = examples.map(({ where }) => where);
  if (files.adapter === undefined) return { base, rows, names };
  const adapter = await openAdapter(base.architecture, files.adapter);
  const { spec, trainedSize } = adapter.layout;
  context.log.info("adapter read", { base: adapter.baseModel ?? "unnamed", kind: spec.kind, parameters: trainedSize });
  return { base, rows, names, adapter };
}

/** An adapter read from a folder. */
export interface OpenedAdapter<L extends AdapterLayout = AdapterLayout> {
  readonly layout: L;
  readonly values: AdapterValues;
  /** As the folder names its base, for a person to read. */
  readonly baseModel: string | null;
}

/** A folder's adapter in the model's own layout. @throws {KindredError} `invalid_adapter` where it does not fit the model */
export async function openAdapter(architecture: Architecture, folder: string): Promise<OpenedAdapter> {
  return (await hasAdapterHubLayout(folder))
    ? bottleneckAdapter(architecture, folder)
    : peftAdapter(architecture, folder);
}

const misfit = (message: string, folder: string, baseModel: string | null, cause?: unknown): KindredError => {
  const named = baseModel === null ? "names none" : `names ${baseModel}`;
  const hint = `is it for another base model? (adapter_config.json ${named})`;
  return new KindredError("invalid_adapter", `${message}; ${hint}`, { folder }, cause);
};

/** Values in a layout that the model made for them. */
function fitted<L extends AdapterLayout>(
  layout: L,
  tensors: NamedTensors,
  folder: string,
  baseModel: string | null,
): OpenedAdapter<L> {
  try {
    return { layout, values: adapterFromTensors(layout, tensors, folder), baseModel };
  } catch (error) {
    throw error instanceof KindredError ? misfit(error.message, folder, baseModel, error) : error;
  }
}

async function bottleneckAdapter(architecture: Architecture, folder: string): Promise<OpenedAdapter> {
  const { tensors, baseModel, ...settings } = await readBottleneckAdapter(folder);
  const { hidden } = architecture;
  if (settings.reduction > hidden) {
    throw misfit(`${folder}: reduces to 1 in ${settings.reduction} what has ${hidden} numbers`, folder, baseModel);
  }
  const layout = bottleneckLayout(architecture, { ...settings, dropout: 0, freezeA: false });
  return fitted(layout, tensors, folder, baseModel);
}

/** As `openAdapter`, of a PEFT folder alone. */
export async function peftAdapter(architecture: Architecture, folder: string): Promise<OpenedAdapter<LoraLayout>> {
  const adapter = await readPeftAdapter(folder);
  const modules = adaptedModules(adapter.tensors);
  const all = modulesOf(adapter.tensors.keys(), folder);
  const strange = all.find((module) => !architecture.linears.some(({ name }) => name === module));
  if (strange !== undefined) {
    const known = moduleNames(architecture).join(", ");
    throw misfit(
      `${folder}: adapts ${strange}, which this model does not have (its linears: ${known})`,
      folder,
      adapter.baseModel,
    );
  }
  // Where some layers alone are adapted, only the names in full say which.
  const everywhere = architecture.linears.filter(({ name }) => isTarget(name, modules)).length === all.length;
  const layout = loraLayout(architecture, {
    rank: adapter.rank,
    alpha: adapter.alpha,
    rslora: adapter.useRslora,
    modules: everywhere ? modules : all,
    dropout: 0,
    freezeA: false,
  });
  return fitted(layout, adapter.tensors, folder, adapter.baseModel);
}
