/**
 * A model's tokenizer from its tokenizer.json (or the equivalent made from a GGUF's metadata), through Hugging Face's tokenizers
 * library: the same ids and offsets as in Python. It knows neither rows nor chat templates.
 *
 * Of the files beside tokenizer.json, shared/models/tokenizer-settings.ts takes added tokens. The class that
 * tokenizer_class names has no effect: transformers builds the normalizer of some classes anew.
 */
import { KindredError } from "../../shared/base/errors.js";
import { brief, isObject } from "../../shared/base/json.js";
import type { ModelFolder } from "../../shared/models/files.js";
import type { TokenizerConfig } from "../../shared/models/special-tokens.js";
import { readTokenizerJson, tokenizerHash } from "../../shared/models/tokenizer-json.js";
import type { TokenizedText, Tokenizer } from "../data/types.js";
import type { EncodedTexts, Loaded } from "./tokenizer-host.js";
import { checkTokenizerParts } from "./tokenizer-parts.js";
import { HostedTokenizer, TokenizerFailure } from "./tokenizer-process.js";

/** Far above any vocabulary. Ids are the rows of the model's embedding. */
const MAX_TOKEN_ID = 16_777_215;

export interface ModelTokenizer extends Tokenizer {
  /** Absolute path of tokenizer.json, or of the GGUF file. */
  readonly path: string;
  /** The largest id plus one. */
  readonly vocabularySize: number;
  /** Of the tokens that any text may have, those before it included, the one with the largest id. Other added tokens are left out. */
  readonly largest: { readonly id: number; readonly content: string };
  /** See `tokenizerHash`. */
  readonly hash: string;
  /** The id of a token by its content; undefined where there is no such token. */
  idOf(token: string): Promise<number | undefined>;
  /** The text of ids, special tokens written out, nothing cleaned up. @throws {KindredError} `invalid_model` */
  decode(ids: ArrayLike<number>): Promise<string>;
}

function invalid(message: string, facts: Record<string, string | number> = {}, cause?: unknown): KindredError {
  return new KindredError("invalid_model", message, facts, cause);
}

interface Ids {
  /** The vocabulary's largest id, -1 where it is empty. */
  readonly top: number;
  /** The same among its tokens that are not added tokens. */
  readonly largest: ModelTokenizer["largest"];
  /** The contents of the added tokens. */
  readonly added: readonly string[];
}

/** Checks all ids. */
function checkedIds(json: Readonly<Record<string, unknown>>, path: string): Ids {
  const check = (token: unknown, id: unknown): number => {
    if (typeof id === "number" && Number.isInteger(id) && id >= 0 && id <= MAX_TOKEN_ID) return id;
    throw invalid(`${path}: token ${brief(token)} has the id ${brief(id)}; ids are 0 to ${MAX_TOKEN_ID}`);
  };
  const vocabulary = isObject(json.model) ? json.model.vocab : undefined;
  if (!Array.isArray(vocabulary) && !isObject(vocabulary))
    throw invalid(`${path}: model.vocab is missing`, { file: path });
  if (!Array.isArray(json.added_tokens)) throw invalid(`${path}: added_tokens is not a list`, { file: path });
  const added = json.added_tokens.map((token: unknown): string => {
    if (!isObject(token) || typeof token.content !== "string")
      throw invalid(`${path}: added_tokens holds an entry without content`, { file: path });
    check(token.content, token.id);
    return token.content;
  });
  const isAdded = new Set(added);
  let top = -1;
  let largest = { id: -1, content: "" };
  const entries: readonly (readonly [string, unknown])[] = Array.isArray(vocabulary)
    ? vocabulary.map((piece: unknown, id) => [Array.isArray(piece) ? String(piece[0]) : "", id])
    : Object.entries(vocabulary);
  for (const [content, given] of entries) {
    const id = check(content, given);
    top = Math.max(top, id);
    if (id > largest.id && !isAdded.has(content)) largest = { id, content };
  }
  return { top, largest, added };
}

/** UTF-16 units of a request's texts. Bounds the memory of an answer: a unit is at most about one token of 12 bytes. */
const MAX_REQUEST_UNITS = 1_048_576;

/** Where each code point of a text begins in UTF-16 units, and the text's length; undefined where the two are the same. */
function unitsOf(text: string): Uint32Array | undefined {
  if (!/[\ud800-\udfff]/.test(text)) return undefined;
  const units: number[] = [];
  let at = 0;
  for (const character of text) {
    units.push(at);
    at += character.length;
  }
  return Uint32Array.from([...units, at]);
}

/** Texts in runs of about as many UTF-16 units as one request may have. */
function* requestsOf(texts: readonly string[]): Generator<readonly string[]> {
  let from = 0;
  let units = 0;
  for (const [at, text] of texts.entries()) {
    if (units > 0 && units + text.length > MAX_REQUEST_UNITS) {
      yield texts.slice(from, at);
      from = at;
      units = 0;
    }
    units += text.length;
  }
  if (from < texts.length) yield texts.slice(from);
}

/** The fields of tokenizer.json that the library names by its own types. */
const PARTS = {
  Normalizer: "normalizer",
  PreTokenizer: "pre_tokenizer",
  PostProcessor: "post_processor",
  Decoder: "decoder",
  Model: "model",
} as const;

/** The field that the library's message is about, and its type; empty where the message names none. */
function partIn(message: string, json: Readonly<Record<string, unknown>>): string {
  const name = /\benum (Normalizer|PreTokenizer|PostProcessor|Decoder|Model)/.exec(message)?.[1];
  if (name === undefined) return "";
  const field = PARTS[name as keyof typeof PARTS];
  const part = json[field];
  return isObject(part) ? `${field} of type ${brief(part.type)} ` : `${field} `;
}

type Facts = Pick<ModelTokenizer, "path" | "vocabularySize" | "largest" | "hash" | "leading">;

class LoadedTokenizer implements ModelTokenizer {
  readonly path: string;
  readonly vocabularySize: number;
  readonly largest: ModelTokenizer["largest"];
  readonly hash: string;
  readonly leading: readonly number[];

  constructor(
    { path, vocabularySize, largest, hash, leading }: Facts,
    private readonly hosted: HostedTokenizer,
  ) {
    [this.path, this.vocabularySize, this.largest] = [path, vocabularySize, largest];
    [this.hash, this.leading] = [hash, leading];
  }

  async encode(texts: readonly string[], { specials }: { readonly specials: boolean }): Promise<TokenizedText[]> {
    const before = specials ? this.leading : [];
    const encoded: TokenizedText[] = [];
    for (const part of requestsOf(texts)) {
      const { lengths, ids, offsets } = (await this.ask({ kind: "encode", texts: part })) as EncodedTexts;
      let at = 0;
      for (const [index, text] of part.entries()) {
        const length = lengths[index] as number;
        const units = unitsOf(text);
        const unit = (place: number): number => (units === undefined ? place : units[place]) as number;
        const all = before.length + length;
        const one = { ids: new Int32Array(all), starts: new Int32Array(all), ends: new Int32Array(all) };
        one.ids.set(before);
        for (let k = before.length; k < all; k++, at++) {
          one.ids[k] = this.known(ids[at] as number);
          one.starts[k] = unit(offsets[2 * at] as number);
          one.ends[k] = unit(offsets[2 * at + 1] as number);
        }
        encoded.push(one);
      }
    }
    return encoded;
  }

  async decode(ids: ArrayLike<number>): Promise<string> {
    if (ids.length === 0) return "";
    return (await this.ask({ kind: "decode", ids: Array.from(ids) })) as string;
  }

  async idOf(token: string): Promise<number | undefined> {
    const id = (await this.ask({ kind: "idOf", token })) as number | null;
    return id === null ? undefined : this.known(id);
  }

  private known(id: number): number {
    if (id < this.vocabularySize) return id;
    throw invalid(`${this.path}: gives the id ${id}, but its largest token has ${this.vocabularySize - 1}`, {
      file: this.path,
    });
  }

  private async ask(request: Parameters<HostedTokenizer["ask"]>[0]): Promise<unknown> {
    try {
      return await this.hosted.ask(request);
    } catch (error) {
      if (!(error instanceof TokenizerFailure)) throw error;
      const what = request.kind === "decode" ? "decode tokens" : "encode a text";
      throw invalid(`${this.path}: cannot ${what} (${error.message})`, { file: this.path }, error);
    }
  }
}

/**
 * Reads a model folder's tokenizer.json.
 * @param known the folder's configuration of the tokenizer, where it was read already
 * @throws {KindredError} `invalid_model` where tokenizer.json is missing, damaged or refused by the library
 */
export async function loadTokenizer(folder: string, known?: TokenizerConfig): Promise<ModelTokenizer> {
  const { json, path } = await readTokenizerJson(folder, known);
  return tokenizerOf(json, path);
}

/**
 * A tokenizer from the fields of tokenizer.json. Its settings of truncation and padding have no effect.
 * @param path the file that they come from, for messages
 * @throws {KindredError} `invalid_model` where they are damaged, or are refused by the library
 */
export async function tokenizerOf(json: Readonly<Record<string, unknown>>, path: string): Promise<ModelTokenizer> {
  const { top: topOfVocabulary, largest, added } = checkedIds(json, path);
  const dropout = isObject(json.model) ? (json.model.dropout ?? 0) : 0;
  if (dropout !== 0)
    throw invalid(`${path}: model.dropout is ${brief(dropout)}, which makes ids random; set it to null`, {
      file: path,
    });
  if (topOfVocabulary < 0 && added.length === 0) throw invalid(`${path}: has no tokens`, { file: path });
  checkTokenizerParts(json, path);
  const text = JSON.stringify({ ...json, truncation: null, padding: null });
  const normalized = (json.added_tokens as { content: string; normalized: boolean }[]).flatMap((token) =>
    token.normalized ? [token.content] : [],
  );
  const hosted = new HostedTokenizer({ kind: "load", json: text, added, normalized });
  let loaded: Loaded;
  try {
    loaded = (await hosted.load()) as Loaded;
  } catch (error) {
    if (!(error instanceof TokenizerFailure)) throw error;
    throw invalid(`${path}: ${partIn(error.message, json)}cannot be used (${error.message})`, { file: path }, error);
  }
  const { leading, clash } = loaded;
  if (clash !== undefined)
    throw invalid(
      `${path}: added_tokens ${clash.map(brief).join(" and ")} are the same after the normalizer, so that the library takes ` +
        `either by chance; set normalized to false for one of them`,
      { file: path },
    );
  if (leading === undefined) throw invalid(`${path}: encodes no text as tokens`, { file: path });
  // The library, not the file, numbers an added token whose id is not the next one.
  const ids = [...loaded.added.flatMap((id) => id ?? []), ...leading];
  const top = ids.reduce((most, id) => Math.max(most, id), topOfVocabulary);
  if (top > MAX_TOKEN_ID) throw invalid(`${path}: has the id ${top}; ids are 0 to ${MAX_TOKEN_ID}`, { file: path });
  const first = leading.reduce((most, id) => Math.max(most, id), -1);
  const before = { id: first, content: added.find((_, at) => loaded.added[at] === first) ?? "before every text" };
  const facts = { path, vocabularySize: top + 1, hash: tokenizerHash(json), leading };
  return new LoadedTokenizer({ ...facts, largest: first > largest.id ? before : largest }, hosted);
}

/**
 * Refuses a tokenizer of which any text may have an id beyond the model's vocabulary. An added token beyond it, such as one for padding,
 * is refused in the row that has it (client/data/encode.ts): many models have one that no row has.
 * @throws {KindredError} `invalid_model`, naming both files, the token and the numbers
 */
export function checkTokenizerFits(tokenizer: ModelTokenizer, model: ModelFolder): void {
  const size = model.config.vocab_size;
  const config = model.configPath;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 1)
    throw invalid(`${config}: vocab_size is ${brief(size)}; expected a positive integer`, { file: config });
  const { id, content } = tokenizer.largest;
  if (id >= size)
    throw invalid(
      `${tokenizer.path}: the token ${brief(content)} has the id ${id}, but ${config} has vocab_size ${size}: ` +
        `the tokenizer belongs to another model`,
      { file: tokenizer.path, token: content, id, vocabSize: size },
    );
}
