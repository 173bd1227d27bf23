/**
 * Where a model's tokenizer stands, and its hash: tokenizer.json of a folder, or its equivalent from a GGUF's metadata. It encodes
 * nothing.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { resolve } from "node:path";
import { KindredError } from "../base/errors.js";
import { canonicalJson, isObject, readJsonObject } from "../base/json.js";
import type { ModelFolder } from "./files.js";
import { ggufTokenizer } from "./gguf-tokenizer.js";
import { readTokenizerConfig, type TokenizerConfig } from "./special-tokens.js";
import { withSettings } from "./tokenizer-settings.js";

/** The largest known files (256,000 entries with merges) have about 35 MB. */
const MAX_TOKENIZER_BYTES = 200_000_000;
const FILE = "tokenizer.json";

type Json = Readonly<Record<string, unknown>>;

/**
 * Reads a folder's tokenizer.json.
 * @param known the folder's configuration of the tokenizer, where it was read already
 * @returns its path, and its fields with what the folder's other files change
 * @throws {KindredError} `invalid_model` where it is missing, saying what else is there, or no JSON object; and as `withSettings`
 */
export async function readTokenizerJson(
  folder: string,
  known?: TokenizerConfig,
): Promise<{ readonly path: string; readonly json: Json }> {
  const names = await readdir(folder).catch((): string[] => []);
  const path = resolve(folder, FILE);
  if (names.includes(FILE)) {
    const json = await readJsonObject(path, { maxBytes: MAX_TOKENIZER_BYTES, code: "invalid_model" });
    return { path, json: withSettings(json, known ?? (await readTokenizerConfig(folder))) };
  }
  const other = ["tokenizer.model", "vocab.json", "vocab.txt"].find((name) => names.includes(name));
  const hint =
    other === undefined
      ? ""
      : `; ${other} can be converted: python -c "from transformers import AutoTokenizer as T; ` +
        `T.from_pretrained('${folder}').save_pretrained('${folder}')"`;
  throw new KindredError("invalid_model", `${path}: no such file; the model's tokenizer is needed${hint}`, {
    file: path,
  });
}

/** SHA-256 (hex) of a model's tokenizer. @throws {KindredError} as `readTokenizerJson` and `ggufTokenizer` */
export async function modelTokenizerHash({ path, gguf }: ModelFolder): Promise<string> {
  return tokenizerHash(gguf === undefined ? (await readTokenizerJson(path)).json : ggufTokenizer(gguf.file).json);
}

/**
 * SHA-256 (hex) of the parts of a tokenizer.json that turn text into ids. Formatting, truncation, padding and the decoder are left out.
 */
export function tokenizerHash(json: Json): string {
  const { added_tokens, normalizer, pre_tokenizer, post_processor, model } = json;
  const parts = { added_tokens, normalizer, pre_tokenizer, post_processor, model: normalizedMerges(model) };
  const text = canonicalJson(Object.fromEntries(Object.entries(parts).filter(([, part]) => part != null)));
  return createHash("sha256").update(`kindred tokenizer 2\n${text}`).digest("hex");
}

/** A model whose merges are pairs of tokens; older files join the two by a space. */
function normalizedMerges(model: unknown): unknown {
  if (!isObject(model) || !Array.isArray(model.merges)) return model;
  return { ...model, merges: model.merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge)) };
}
