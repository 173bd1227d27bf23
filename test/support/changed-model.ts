/** Models made of a fixture's: with other tensors, or with other fields of its configuration. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensorsHeader, readTensor, writeSafetensors } from "../../shared/adapters/safetensors.js";
import type { FloatTensor } from "../../shared/base/tensors.js";
import { TINY_MODEL } from "./tiny.js";

export interface ModelChange {
  /** Changes the map of all tensors, by name. */
  readonly tensors?: (tensors: Map<string, FloatTensor>) => void;
  /** Fields of config.json that replace the model's own. */
  readonly config?: Readonly<Record<string, unknown>>;
}

/** Writes the changed copy of a model. @returns `folder` */
export async function changedModel(
  folder: string,
  { tensors: change = () => {}, config = {} }: ModelChange,
  model = TINY_MODEL,
): Promise<string> {
  cpSync(model, folder, { recursive: true });
  const path = join(folder, "config.json");
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, "utf8")), ...config }));
  const file = await readSafetensorsHeader(join(model, "model.safetensors"));
  const tensors = new Map<string, FloatTensor>();
  for (const [name, { shape }] of file.tensors) tensors.set(name, { shape, data: await readTensor(file, name) });
  change(tensors);
  await writeSafetensors(join(folder, "model.safetensors"), tensors);
  return folder;
}
