/**
 * The special tokens that a model's files name beside tokenizer.json (bos_token, eos_token and others), found as transformers 5 finds
 * them. Chat templates write them. It knows neither ids nor templates.
 *
 * The order: special_tokens_map.json, unless tokenizer_config.json has added_tokens_decoder; then tokenizer_config.json; then the
 * defaults of the class that tokenizer_class names. A field that is null means that there is no such token.
 */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { KindredError } from "../base/errors.js";
import { brief, isObject, readJsonObject } from "../base/json.js";

/** The largest known files have about 500 KB. */
const MAX_CONFIG_BYTES = 25_000_000;
const CONFIG = "tokenizer_config.json";
const MAP = "special_tokens_map.json";
const ADDED = "added_tokens.json";

/** Special tokens by name, such as `eos_token`. */
export type SpecialTokens = Readonly<Record<string, string>>;

export interface TokenizerConfig {
  /** Path of tokenizer_config.json, for messages. */
  readonly path: string;
  /** Fields of tokenizer_config.json. Empty where there is none. */
  readonly fields: Readonly<Record<string, unknown>>;
  readonly specialTokens: SpecialTokens;
  /** All special tokens, those without a name of their own too: content, and the fields of the object that names it. */
  readonly special: ReadonlyMap<string, Fields>;
  /** Ids of added_tokens.json by content. Empty where there is none. */
  readonly added: { readonly path: string; readonly fields: Fields };
}

type Fields = Readonly<Record<string, unknown>>;

const STANDARD: readonly string[] = ["bos", "eos", "unk", "sep", "pad", "cls", "mask"].map((name) => `${name}_token`);

const END_OF_TEXT = "<|endoftext|>";
const SENTENCE_PIECE: SpecialTokens = { unk_token: "<unk>", bos_token: "<s>", eos_token: "</s>" };

/** Defaults of transformers' classes for language models, where the name of the class ends without "Fast". */
const CLASS_DEFAULTS: ReadonlyMap<string, SpecialTokens> = new Map<string, SpecialTokens>([
  ["LlamaTokenizer", SENTENCE_PIECE],
  [
    "CodeLlamaTokenizer",
    {
      ...SENTENCE_PIECE,
      prefix_token: "▁<PRE>",
      middle_token: "▁<MID>",
      suffix_token: "▁<SUF>",
      eot_token: "▁<EOT>",
      fill_token: "<FILL_ME>",
    },
  ],
  ["GPT2Tokenizer", { unk_token: END_OF_TEXT, bos_token: END_OF_TEXT, eos_token: END_OF_TEXT }],
  [
    "GPTNeoXTokenizer",
    { unk_token: END_OF_TEXT, bos_token: END_OF_TEXT, eos_token: END_OF_TEXT, pad_token: "<|padding|>" },
  ],
  ["Qwen2Tokenizer", { unk_token: END_OF_TEXT, eos_token: END_OF_TEXT, pad_token: END_OF_TEXT }],
  [
    "GemmaTokenizer",
    { unk_token: "<unk>", bos_token: "<bos>", eos_token: "<eos>", pad_token: "<pad>", mask_token: "<mask>" },
  ],
]);

/** Reads tokenizer_config.json, special_tokens_map.json and added_tokens.json of a folder. @throws {KindredError} `invalid_model` where one is damaged */
export async function readTokenizerConfig(folder: string): Promise<TokenizerConfig> {
  const names = await readdir(folder).catch((): string[] => []);
  const read = async (name: string): Promise<Record<string, unknown>> =>
    names.includes(name)
      ? await readJsonObject(join(folder, name), { maxBytes: MAX_CONFIG_BYTES, code: "invalid_model" })
      : {};
  const path = join(folder, CONFIG);
  const [fields, map, added] = await Promise.all([read(CONFIG), read(MAP), read(ADDED)]);
  const given = namedTokens(fields, path);
  // As in transformers, these two are read only without it.
  const old = !isObject(fields.added_tokens_decoder);
  const mapped = old ? namedTokens(map, join(folder, MAP)) : [];
  const specialTokens = resolve(fields, new Map([...given, ...mapped]));
  return {
    path,
    fields,
    specialTokens,
    special: allSpecial(specialTokens, old ? [fields, map] : [fields]),
    added: { path: join(folder, ADDED), fields: old ? added : {} },
  };
}

/** The special tokens in transformers' order: the standard ones, those of the model's own names, those without a name. */
function allSpecial(named: SpecialTokens, files: readonly Fields[]): ReadonlyMap<string, Fields> {
  const lists = files.flatMap(({ extra_special_tokens: extra, additional_special_tokens: more }) =>
    [extra, more].flatMap((list): unknown[] => (Array.isArray(list) ? list : [])),
  );
  const objects = [...files.flatMap((fields) => Object.values(fields)), ...lists].filter(isObject);
  const order = [...STANDARD, ...Object.keys(named).filter((name) => !STANDARD.includes(name))];
  const contents = [
    ...order.map((name) => named[name]),
    ...lists.map((token) => (isObject(token) ? token.content : token)),
  ].filter((content): content is string => typeof content === "string" && content !== "");
  return new Map(contents.map((content) => [content, objects.find((each) => each.content === content) ?? {}]));
}

/** The special tokens that the fields of a tokenizer_config.json name. @param path for messages */
export function specialTokensOf(fields: Readonly<Record<string, unknown>>, path: string): SpecialTokens {
  return resolve(fields, namedTokens(fields, path));
}

function resolve(
  fields: Readonly<Record<string, unknown>>,
  named: ReadonlyMap<string, string | undefined>,
): SpecialTokens {
  const { tokenizer_class: kind } = fields;
  const defaults = typeof kind === "string" ? CLASS_DEFAULTS.get(kind.replace(/Fast$/, "")) : undefined;
  const all = new Map<string, string | undefined>([...Object.entries(defaults ?? {}), ...named]);
  return Object.fromEntries([...all].filter((entry): entry is [string, string] => entry[1] !== undefined));
}

/** The tokens that an object's fields name; undefined where a field says that there is no such token. */
function namedTokens(fields: Readonly<Record<string, unknown>>, path: string): ReadonlyMap<string, string | undefined> {
  const tokens = new Map<string, string | undefined>();
  const take = (key: string, value: unknown, name = key): void => {
    const text = isObject(value) ? value.content : value;
    if (text === null && STANDARD.includes(key)) tokens.set(key, undefined);
    else if (typeof text === "string") tokens.set(key, text);
    // Fields such as add_bos_token have the ending too.
    else if (STANDARD.includes(key))
      throw new KindredError(
        "invalid_model",
        `${path}: ${name} is ${brief(value)}; expected a text, or an object with content`,
        { file: path },
      );
  };
  for (const [key, value] of Object.entries(fields)) if (key.endsWith("_token")) take(key, value);
  const { extra_special_tokens: extra } = fields;
  if (isObject(extra))
    for (const [key, value] of Object.entries(extra)) take(key, value, `extra_special_tokens.${key}`);
  return tokens;
}
