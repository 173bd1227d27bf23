/**
 * The tokens that end a text that is written: eos_token_id of generation_config.json, else of config.json, as in transformers; for a
 * GGUF file, the field of its metadata.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import { brief, readJsonObject } from "../../shared/base/json.js";
import type { SpecialTokens } from "../../shared/models/special-tokens.js";
import type { BaseModel } from "./base.js";
import type { ModelTokenizer } from "./tokenizer.js";

/** Real files are under 1 KB. */
const MAX_CONFIG_BYTES = 1_000_000;
const FILE = "generation_config.json";

/** @throws {KindredError} `invalid_model` where the field is neither a token, nor a list of tokens, nor absent */
export async function endTokens({ folder, architecture }: BaseModel): Promise<ReadonlySet<number>> {
  const [file, value] = await endsOf(folder);
  const ids: unknown[] = Array.isArray(value) ? value : [value];
  const isToken = (id: unknown): id is number =>
    typeof id === "number" && Number.isInteger(id) && id >= 0 && id < architecture.vocabulary;
  if (!ids.every(isToken)) {
    throw new KindredError(
      "invalid_model",
      `${file}: eos_token_id is ${brief(value)}; expected token ids from 0 to ${architecture.vocabulary - 1}`,
      { file },
    );
  }
  return new Set(ids);
}

/**
 * The token that ends a text that is learned: eos_token of the tokenizer's files, as in TRL, else the first of `endTokens`.
 * @throws {KindredError} as `endTokens`
 */
export async function endOfTextToken(
  base: BaseModel,
  tokenizer: ModelTokenizer,
  { eos_token: named }: SpecialTokens,
): Promise<number | undefined> {
  const id = named === undefined ? undefined : await tokenizer.idOf(named);
  if (id !== undefined && id < base.architecture.vocabulary) return id;
  const [first] = await endTokens(base);
  return first;
}

/** The file with the field, and the field's value. */
async function endsOf({ path, config, configPath, gguf }: BaseModel["folder"]): Promise<[string, unknown]> {
  if (gguf !== undefined) return [gguf.file.path, gguf.file.metadata.get("tokenizer.ggml.eos_token_id") ?? []];
  const own = join(path, FILE);
  const there = (await readdir(path)).includes(FILE);
  const generation = there ? await readJsonObject(own, { maxBytes: MAX_CONFIG_BYTES, code: "invalid_model" }) : {};
  if (generation.eos_token_id != null) return [own, generation.eos_token_id];
  return [configPath, config.eos_token_id ?? []];
}
