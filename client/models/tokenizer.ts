/**
 * A model's tokenizer from its tokenizer.json (or the equivalent made from a GGUF's metadata), through @huggingface/tokenizers: the
 * same ids as transformers gives with the same file. It knows neither rows nor chat templates.
 *
 * tokenizer.json decides. Of tokenizer_config.json, only the fields that the library reads have an effect; flags such as
 * add_bos_token, with which transformers rewrites the post-processor of some classes, have none.
 */
import { createHash } from "node:crypto";
import { readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Tokenizer as Library } from "@huggingface/tokenizers";
import { KindredError } from "../../shared/base/errors.js";
import { brief, canonicalJson, isObject, readJsonObject } from "../../shared/base/json.js";
import type { ModelFolder } from "../../shared/models/files.js";
import type { Tokenizer } from "../data/types.js";

/** The largest known files (256,000 entries with merges) have about 35 MB. */
const MAX_TOKENIZER_BYTES = 200_000_000;
const MAX_CONFIG_BYTES = 25_000_000;

/** Far above any vocabulary. A larger id would make the library's table a sparse array of that length. */
const MAX_TOKEN_ID = 16_777_215;

export interface ModelTokenizer extends Tokenizer {
  /** Absolute path of tokenizer.json, or of the GGUF file. */
  readonly path: string;
  /** The largest id plus one. At most the model's vocab_size, which may be padded. */
  readonly vocabularySize: number;
  /** SHA-256 (hex) of the parts that turn text into ids; formatting and truncation settings are left out. */
  readonly hash: string;
  /** The text of ids, special tokens written out, nothing cleaned up. */
  decode(ids: ArrayLike<number>): string;
}

/** The part of the library that is used here. Its own declarations leave out file extensions, so that NodeNext reads them as `any`. */
interface Encoder {
  readonly post_processor: {
    post_process(tokens: string[], pair: null, addSpecials: boolean): { readonly tokens: readonly string[] };
  } | null;
  encode(text: string, options: { add_special_tokens: boolean }): { readonly ids: readonly (number | undefined)[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
  token_to_id(token: string): number | undefined;
}

function invalid(message: string, facts: Record<string, string | number> = {}, cause?: unknown): KindredError {
  return new KindredError("invalid_model", message, facts, cause);
}

/** Every id of the vocabulary and the added tokens, checked. */
function* idsOf(json: Readonly<Record<string, unknown>>, path: string): Generator<number> {
  const check = (token: unknown, id: unknown): number => {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > MAX_TOKEN_ID)
      throw invalid(`${path}: token ${brief(token)} has the id ${brief(id)}; ids are 0 to ${MAX_TOKEN_ID}`);
    return id;
  };
  const vocabulary = isObject(json.model) ? json.model.vocab : undefined;
  if (Array.isArray(vocabulary)) {
    if (vocabulary.length > 0) yield check("", vocabulary.length - 1);
  } else if (isObject(vocabulary)) {
    for (const [token, id] of Object.entries(vocabulary)) yield check(token, id);
  } else throw invalid(`${path}: model.vocab is missing`, { file: path });
  if (!Array.isArray(json.added_tokens)) throw invalid(`${path}: added_tokens is not a list`, { file: path });
  for (const token of json.added_tokens) {
    if (!isObject(token) || typeof token.content !== "string")
      throw invalid(`${path}: added_tokens holds an entry without content`, { file: path });
    yield check(token.content, token.id);
  }
}

/** A model whose merges are pairs of tokens; older files join the two by a space. */
function normalizedMerges(model: unknown): unknown {
  if (!isObject(model) || !Array.isArray(model.merges)) return model;
  return { ...model, merges: model.merges.map((merge) => (typeof merge === "string" ? merge.split(" ") : merge)) };
}

function hashOf(json: Readonly<Record<string, unknown>>): string {
  const { added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model } = json;
  const parts = { added_tokens, normalizer, pre_tokenizer, post_processor, decoder, model: normalizedMerges(model) };
  const text = canonicalJson(Object.fromEntries(Object.entries(parts).filter(([, part]) => part != null)));
  return createHash("sha256").update(`kindred tokenizer 1\n${text}`).digest("hex");
}

/** Ids of the special tokens that a post-processor's templates name, by the name they use there. */
function templateTokens(processor: unknown, ids = new Map<string, number[]>()): Map<string, number[]> {
  if (!isObject(processor)) return ids;
  if (Array.isArray(processor.processors)) for (const part of processor.processors) templateTokens(part, ids);
  if (isObject(processor.special_tokens))
    for (const [name, token] of Object.entries(processor.special_tokens))
      if (isObject(token) && Array.isArray(token.ids)) ids.set(name, token.ids.filter(Number.isInteger));
  return ids;
}

/** The special tokens that the post-processor adds before a text, found by processing a token that no vocabulary has. */
function leadingSpecials(encoder: Encoder, json: Readonly<Record<string, unknown>>, path: string): number[] {
  if (encoder.post_processor === null) return [];
  const text = "\u0000text\u0000";
  const { tokens } = encoder.post_processor.post_process([text], null, true);
  const named = templateTokens(json.post_processor);
  return tokens.slice(0, Math.max(0, tokens.indexOf(text))).flatMap((token) => {
    const id = encoder.token_to_id(token);
    const ids = named.get(token) ?? (id === undefined ? undefined : [id]);
    if (ids === undefined)
      throw invalid(
        `${path}: post_processor adds ${brief(token)} before a text, which is not a token of the vocabulary`,
        {
          file: path,
        },
      );
    return ids;
  });
}

class LoadedTokenizer implements ModelTokenizer {
  constructor(
    readonly path: string,
    readonly vocabularySize: number,
    readonly hash: string,
    private readonly leading: readonly number[],
    private readonly encoder: Encoder,
  ) {}

  encode(text: string, { specials }: { readonly specials: boolean }): Int32Array {
    const { ids } = this.encoder.encode(text, { add_special_tokens: false });
    // Undefined: a character outside a vocabulary without an unknown token. transformers drops it too.
    const known = ids.filter((id): id is number => id !== undefined);
    return Int32Array.from(specials ? [...this.leading, ...known] : known);
  }

  decode(ids: ArrayLike<number>): string {
    if (ids.length === 0) return "";
    return this.encoder.decode(Array.from(ids), { clean_up_tokenization_spaces: false });
  }
}

/**
 * Reads a model folder's tokenizer.json (and tokenizer_config.json where it is there).
 * @throws {KindredError} `invalid_model` where tokenizer.json is missing, damaged or uses parts that are not known
 */
export async function loadTokenizer(folder: string): Promise<ModelTokenizer> {
  const names = await readdir(folder).catch((): string[] => []);
  const path = resolve(folder, "tokenizer.json");
  if (!names.includes("tokenizer.json")) {
    const other = ["tokenizer.model", "vocab.json", "vocab.txt"].find((name) => names.includes(name));
    const hint =
      other === undefined
        ? ""
        : `; ${other} can be converted: python -c "from transformers import AutoTokenizer as T; ` +
          `T.from_pretrained('${folder}').save_pretrained('${folder}')"`;
    throw invalid(`${path}: no such file; the model's tokenizer is needed${hint}`, { file: path });
  }
  const json = await readJsonObject(path, { maxBytes: MAX_TOKENIZER_BYTES, code: "invalid_model" });
  const config = names.includes("tokenizer_config.json")
    ? await readJsonObject(join(folder, "tokenizer_config.json"), { maxBytes: MAX_CONFIG_BYTES, code: "invalid_model" })
    : {};
  return tokenizerOf(json, config, path);
}

/**
 * A tokenizer from the fields of tokenizer.json and tokenizer_config.json.
 * @param path the file that they come from, for messages
 * @throws {KindredError} `invalid_model` where they are damaged or use parts that are not known
 */
export function tokenizerOf(
  json: Readonly<Record<string, unknown>>,
  config: Readonly<Record<string, unknown>>,
  path: string,
): ModelTokenizer {
  let largest = -1;
  for (const id of idsOf(json, path)) if (id > largest) largest = id;
  if (largest < 0) throw invalid(`${path}: has no tokens`, { file: path });
  try {
    const encoder = new Library(json, config) as unknown as Encoder;
    const leading = leadingSpecials(encoder, json, path);
    return new LoadedTokenizer(path, largest + 1, hashOf(json), leading, encoder);
  } catch (error) {
    if (error instanceof KindredError) throw error;
    throw invalid(`${path}: cannot be used (${error instanceof Error ? error.message : error})`, { file: path }, error);
  }
}

/**
 * Refuses a tokenizer whose ids go beyond the model's vocabulary.
 * @throws {KindredError} `invalid_model`, naming both files and numbers
 */
export function checkTokenizerFits(tokenizer: ModelTokenizer, model: ModelFolder): void {
  const size = model.config.vocab_size;
  const config = model.configPath;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 1)
    throw invalid(`${config}: vocab_size is ${brief(size)}; expected a positive integer`, { file: config });
  if (tokenizer.vocabularySize > size)
    throw invalid(
      `${tokenizer.path}: its largest id is ${tokenizer.vocabularySize - 1}, but ${config} has vocab_size ${size}: ` +
        `the tokenizer belongs to another model`,
      { file: tokenizer.path, largestId: tokenizer.vocabularySize - 1, vocabSize: size },
    );
}
