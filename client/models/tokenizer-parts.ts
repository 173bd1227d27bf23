/**
 * Checks that tokenizer.json says nothing that Hugging Face's tokenizers library would pass over. The library ignores fields that it
 * does not know, and takes a part of an unknown type, or one without all of its fields, for another part with the same fields. Values
 * are the library's to check.
 */
import { KindredError } from "../../shared/base/errors.js";
import { brief, isObject } from "../../shared/base/json.js";

interface Fields {
  readonly required?: readonly string[];
  readonly optional?: readonly string[];
}

/** The types of one kind of part. */
interface Kind {
  readonly types: Readonly<Record<string, Fields>>;
  /** The field with which a Sequence lists its parts. */
  readonly list?: string;
}

const NONE: Fields = {};
const REPLACE: Fields = { required: ["pattern", "content"] };
const BYTE_LEVEL: Fields = { required: ["add_prefix_space", "trim_offsets"], optional: ["use_regex"] };
const METASPACE: Fields = {
  required: ["replacement"],
  optional: ["prepend_scheme", "split", "add_prefix_space", "str_rep"],
};
const ENDS = ["sep", "cls"];

const KINDS: Readonly<Record<string, Kind>> = {
  normalizer: {
    types: {
      ...{
        NFC: NONE,
        NFD: NONE,
        NFKC: NONE,
        NFKD: NONE,
        Nmt: NONE,
        Lowercase: NONE,
        StripAccents: NONE,
        ByteLevel: NONE,
      },
      BertNormalizer: { required: ["clean_text", "handle_chinese_chars", "lowercase"], optional: ["strip_accents"] },
      Strip: { required: ["strip_left", "strip_right"] },
      Prepend: { required: ["prepend"] },
      Precompiled: { required: ["precompiled_charsmap"] },
      Replace: REPLACE,
    },
    list: "normalizers",
  },
  pre_tokenizer: {
    types: {
      ...{ BertPreTokenizer: NONE, Whitespace: NONE, WhitespaceSplit: NONE, UnicodeScripts: NONE },
      ByteLevel: BYTE_LEVEL,
      CharDelimiterSplit: { required: ["delimiter"] },
      Digits: { required: ["individual_digits"] },
      FixedLength: { optional: ["length"] },
      Metaspace: METASPACE,
      Punctuation: { optional: ["behavior"] },
      Split: { required: ["pattern", "behavior", "invert"] },
    },
    list: "pretokenizers",
  },
  post_processor: {
    types: {
      BertProcessing: { required: ENDS },
      RobertaProcessing: { required: [...ENDS, "trim_offsets", "add_prefix_space"] },
      ByteLevel: BYTE_LEVEL,
      TemplateProcessing: { required: ["single", "pair", "special_tokens"] },
    },
    list: "processors",
  },
  decoder: {
    types: {
      ...{ Fuse: NONE, ByteFallback: NONE },
      BPEDecoder: { required: ["suffix"] },
      ByteLevel: BYTE_LEVEL,
      CTC: { required: ["pad_token", "word_delimiter_token", "cleanup"] },
      Metaspace: METASPACE,
      Replace: REPLACE,
      Strip: { required: ["content", "start", "stop"] },
      WordPiece: { required: ["prefix", "cleanup"] },
    },
    list: "decoders",
  },
};

/** In the order in which the library tries them where a model has no type, as in files of 2020. */
const MODELS: Readonly<Record<string, Fields>> = {
  BPE: {
    required: ["vocab", "merges"],
    optional: [
      "dropout",
      "unk_token",
      "continuing_subword_prefix",
      "end_of_word_suffix",
      "fuse_unk",
      "byte_fallback",
      "ignore_merges",
    ],
  },
  WordPiece: { required: ["vocab", "unk_token", "continuing_subword_prefix", "max_input_chars_per_word"] },
  WordLevel: { required: ["vocab", "unk_token"] },
  Unigram: { required: ["vocab"], optional: ["unk_id", "byte_fallback"] },
};

const TOP: Fields = {
  required: ["added_tokens", "model"],
  optional: ["version", "truncation", "padding", ...Object.keys(KINDS)],
};
const ADDED: Fields = { required: ["id", "content", "single_word", "lstrip", "rstrip", "normalized", "special"] };
const SPECIAL: Fields = { required: ["id", "ids", "tokens"] };
const PIECE: Fields = { required: ["id", "type_id"] };

type Json = Readonly<Record<string, unknown>>;

class Checker {
  constructor(private readonly path: string) {}

  refusal(field: string, message: string): KindredError {
    return new KindredError("invalid_model", `${this.path}: ${field}${message}`, { file: this.path, field });
  }

  /** The part itself, where it is an object with the fields of its type and no others. */
  fields(value: unknown, at: string, name: string, { required = [], optional = [] }: Fields): Json {
    if (!isObject(value)) throw this.refusal(at, ` is ${brief(value)}; expected an object`);
    const missing = required.find((field) => !Object.hasOwn(value, field));
    if (missing !== undefined) throw this.refusal(at, ` lacks the field ${missing}, which ${name} has`);
    const more = Object.keys(value).find((field) => !required.includes(field) && !optional.includes(field));
    if (more !== undefined)
      throw this.refusal(
        at,
        ` has the field ${brief(more)} (${brief(value[more])}), which ${name} does not have; it would have no effect: remove it`,
      );
    return value;
  }

  /** A part of one kind, and the parts within it. */
  part(value: unknown, at: string, { types, list }: Kind): void {
    if (!isObject(value)) throw this.refusal(at, ` is ${brief(value)}; expected an object with a type`);
    const { type, ...rest } = value;
    if (type === "Sequence" && list !== undefined) {
      const parts = this.fields(rest, at, "Sequence", { required: [list] })[list];
      if (!Array.isArray(parts)) throw this.refusal(`${at}.${list}`, ` is ${brief(parts)}; expected a list`);
      for (const [index, part] of parts.entries()) this.part(part, `${at}.${list}[${index}]`, { types, list });
      return;
    }
    if (typeof type !== "string" || !Object.hasOwn(types, type))
      throw this.refusal(
        at,
        `.type ${brief(type)} is not known; known are ${[...Object.keys(types), "Sequence"].join(", ")}`,
      );
    this.fields(rest, at, type, types[type] as Fields);
    if (type === "TemplateProcessing") this.template(rest, at);
  }

  /** A template whose `single` has the text once: the special tokens before it are then the same for every text. */
  private template({ single, pair, special_tokens: tokens }: Json, at: string): void {
    for (const [name, pieces] of Object.entries({ single, pair })) {
      if (!Array.isArray(pieces)) throw this.refusal(`${at}.${name}`, ` is ${brief(pieces)}; expected a list`);
      for (const [index, piece] of (pieces as unknown[]).entries()) {
        const [kind, value] = isObject(piece) ? (Object.entries(piece)[0] ?? []) : [];
        this.fields(value, `${at}.${name}[${index}].${kind}`, String(kind), PIECE);
      }
    }
    const sequences = (single as Json[]).flatMap(({ Sequence: piece }) => (isObject(piece) ? [piece.id] : []));
    if (sequences.length !== 1 || sequences[0] !== "A")
      throw this.refusal(`${at}.single`, ` has the texts ${brief(sequences)}; expected the text A, once`);
    if (isObject(tokens))
      for (const [name, token] of Object.entries(tokens))
        this.fields(token, `${at}.special_tokens.${brief(name)}`, "a special token", SPECIAL);
  }

  model(value: unknown): void {
    if (!isObject(value)) throw this.refusal("model", ` is ${brief(value)}; expected an object`);
    const { type: given, ...rest } = value;
    const has = (fields: Fields): boolean => (fields.required ?? []).every((field) => Object.hasOwn(rest, field));
    const type = given === undefined ? Object.keys(MODELS).find((name) => has(MODELS[name] as Fields)) : given;
    if (typeof type !== "string" || !Object.hasOwn(MODELS, type))
      throw this.refusal("model", `.type ${brief(given)} is not known; known are ${Object.keys(MODELS).join(", ")}`);
    this.fields(rest, "model", type, MODELS[type] as Fields);
  }
}

/**
 * Refuses a tokenizer.json with a type or a field that the library does not know, or would take for another.
 * @param path for messages
 * @throws {KindredError} `invalid_model`, naming the part and the field
 */
export function checkTokenizerParts(json: Json, path: string): void {
  const check = new Checker(path);
  check.fields(json, "the file", "tokenizer.json", TOP);
  const { added_tokens: added, model } = json;
  if (!Array.isArray(added)) throw check.refusal("added_tokens", ` is ${brief(added)}; expected a list`);
  for (const [index, token] of added.entries()) check.fields(token, `added_tokens[${index}]`, "an added token", ADDED);
  check.model(model);
  for (const [name, kind] of Object.entries(KINDS)) if (json[name] != null) check.part(json[name], name, kind);
}
