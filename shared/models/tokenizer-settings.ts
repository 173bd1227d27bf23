/**
 * What the files beside a tokenizer.json change of it: tokens that tokenizer_config.json (added_tokens_decoder), added_tokens.json or
 * the named special tokens add. The result is a tokenizer.json whose ids are those of transformers 5 for the folder.
 *
 * As in transformers, add_bos_token and add_eos_token have no effect beside a tokenizer.json.
 */
import { KindredError } from "../base/errors.js";
import { brief, isObject } from "../base/json.js";
import type { TokenizerConfig } from "./special-tokens.js";

type Json = Readonly<Record<string, unknown>>;

const FLAGS = ["single_word", "lstrip", "rstrip", "normalized", "special"] as const;

/** An added token without its id. */
export type AddedToken = { readonly content: string } & Readonly<Record<(typeof FLAGS)[number], boolean>>;

function invalid(path: string, field: string, problem: string): KindredError {
  return new KindredError("invalid_model", `${path}: ${field} ${problem}`, { file: path, field });
}

function flagOf(fields: Json, name: string, path: string, where = name): boolean {
  const value = fields[name] ?? false;
  if (typeof value === "boolean") return value;
  throw invalid(path, where, `is ${brief(value)}; expected true or false`);
}

/** The flags of the object that describes a token. A flag that is left out is false. @param at names the object in messages */
function flagsOf(token: Json, path: string, at: string): Omit<AddedToken, "content"> {
  const flag = (name: (typeof FLAGS)[number]): boolean => flagOf(token, name, path, `${at}.${name}`);
  return Object.fromEntries(FLAGS.map((name) => [name, flag(name)])) as Omit<AddedToken, "content">;
}

/** The tokens of added_tokens_decoder, in the order of their ids. @throws {KindredError} `invalid_model`, naming file, field and value */
function decoderTokens(decoder: Json, path: string): readonly AddedToken[] {
  const entries = Object.entries(decoder).sort(([a], [b]) => Number(a) - Number(b));
  return entries.map(([id, token]) => {
    const field = `added_tokens_decoder.${id}`;
    if (!/^\d+$/.test(id)) throw invalid(path, field, "is no id; expected digits");
    if (!isObject(token) || typeof token.content !== "string" || token.content === "")
      throw invalid(path, field, `is ${brief(token)}; expected an object with content`);
    const flags = flagsOf(token, path, field);
    // As in the library: a token that is not special is found in the normalized text unless its flag says otherwise.
    return addedToken(token.content, {
      ...flags,
      normalized: flags.normalized || (token.normalized === undefined && !flags.special),
    });
  });
}

/** The tokens of added_tokens.json, in the order of their ids. */
function fileTokens(
  { path, fields }: TokenizerConfig["added"],
  special: ReadonlyMap<string, Json>,
): readonly AddedToken[] {
  const entries = Object.entries(fields).map(([content, id]) => {
    if (typeof id === "number" && Number.isInteger(id) && id >= 0 && content !== "") return { content, id };
    throw invalid(path, brief(content), `is ${brief(id)}; expected the token's id`);
  });
  return entries
    .sort((a, b) => a.id - b.id)
    .map(({ content }) => addedToken(content, { special: special.has(content), normalized: !special.has(content) }));
}

function addedToken(content: string, flags: Partial<AddedToken>): AddedToken {
  return { single_word: false, lstrip: false, rstrip: false, normalized: false, special: false, ...flags, content };
}

/** The tokens that a folder's files add, in the order in which transformers adds them. */
function tokensToAdd({ path, fields, added, special }: TokenizerConfig): readonly AddedToken[] {
  const { added_tokens_decoder: decoder } = fields;
  if (decoder !== undefined && !isObject(decoder))
    throw invalid(path, "added_tokens_decoder", `is ${brief(decoder)}; expected an object`);
  const listed = decoder === undefined ? fileTokens(added, special) : decoderTokens(decoder, path);
  const contents = new Set(listed.map(({ content }) => content));
  const others = [...special].filter(([content]) => !contents.has(content));
  return [
    ...listed.map((token) => ({ ...token, special: token.special || special.has(token.content) })),
    ...others.map(([content, token]) => addedToken(content, { ...flagsOf(token, path, content), special: true })),
  ];
}

/** Ids of the vocabulary by content. */
function vocabularyOf(json: Json): ReadonlyMap<string, unknown> {
  const vocabulary = isObject(json.model) ? json.model.vocab : undefined;
  if (Array.isArray(vocabulary)) return new Map(vocabulary.map((piece, id) => [String(piece?.[0]), id]));
  return new Map(isObject(vocabulary) ? Object.entries(vocabulary) : []);
}

/** The list of added tokens with further ones. An id is the vocabulary's, or the next one, as the library numbers them. */
function extended(json: Json, given: readonly unknown[], more: TokenizerConfig): readonly unknown[] {
  const list = [...given];
  const vocabulary = vocabularyOf(json);
  const ids = list.flatMap((token) => (isObject(token) && typeof token.id === "number" ? [token.id] : []));
  let next = ids.reduce((most, id) => Math.max(most, id + 1), vocabulary.size);
  const places = new Map(list.map((token, at) => [isObject(token) ? token.content : undefined, at]));
  const isListed = isObject(more.fields.added_tokens_decoder);
  for (const token of tokensToAdd(more)) {
    const at = places.get(token.content);
    if (at === undefined) list.push({ id: vocabulary.get(token.content) ?? next++, ...token });
    // added_tokens_decoder goes before tokenizer.json; other files say nothing of flags.
    else if (isListed) list[at] = { ...(list[at] as Json), ...token };
  }
  return list;
}

/**
 * A tokenizer.json with what the folder's other files change.
 * @throws {KindredError} `invalid_model` where a field is damaged; `unsupported` for split_special_tokens, which the library cannot do
 */
export function withSettings(json: Json, config: TokenizerConfig): Json {
  const { path, fields } = config;
  if (flagOf(fields, "split_special_tokens", path))
    throw new KindredError(
      "unsupported",
      `${path}: split_special_tokens is true, which is not supported: a special token in a text is always one token; set it to false`,
      { file: path, field: "split_special_tokens" },
    );
  if (!Array.isArray(json.added_tokens)) return json; // refused where the tokenizer is opened
  return { ...json, added_tokens: extended(json, json.added_tokens, config) };
}
