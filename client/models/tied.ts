/**
 * A head that shares its weight with the embedding. The configuration says whether it does (`tie_word_embeddings`), and the files may
 * say otherwise: they may hold the head alone, or both. The rules are those of transformers 5 (`tie_weights` in modeling_utils.py):
 * the tensor that is there serves as both, and two different tensors are not tied, whatever the configuration says.
 */
import { type ModelFolder, readModelTensor } from "../../shared/models/files.js";
import { type Architecture, storedName } from "./architecture.js";
import { readArchitecture } from "./families.js";

/**
 * The architecture that the files have.
 * @returns `found`: the name in the files of a weight that is stored under another weight's name
 * @throws {KindredError} as `readArchitecture` and `readModelTensor`
 */
export async function resolveTiedHead(
  folder: ModelFolder,
): Promise<{ readonly architecture: Architecture; readonly found: ReadonlyMap<string, string> }> {
  const architecture = readArchitecture(folder.config, folder.configPath);
  const none = { architecture, found: new Map<string, string>() };
  if (architecture.tied === undefined) return none;
  const { embedding, head } = architecture.tied;
  const stored = (name: string): string => storedName(folder, architecture, name);
  if (!folder.tensors.has(stored(head))) return none;
  if (!folder.tensors.has(stored(embedding))) return { architecture, found: new Map([[embedding, stored(head)]]) };
  if (await equal(folder, stored(embedding), stored(head))) return none;
  return {
    ...none,
    architecture: readArchitecture({ ...folder.config, tie_word_embeddings: false }, folder.configPath),
  };
}

/** Whether two tensors hold the same numbers. */
async function equal(folder: ModelFolder, a: string, b: string): Promise<boolean> {
  const [shape, other] = [folder.tensors.get(a)!.shape, folder.tensors.get(b)!.shape];
  if (shape.length !== other.length || shape.some((dim, axis) => dim !== other[axis])) return false;
  const values = await readModelTensor(folder, a);
  const others = await readModelTensor(folder, b);
  return values.every((value, at) => value === others[at]);
}
