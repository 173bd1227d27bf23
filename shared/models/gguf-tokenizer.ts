/**
 * Converts the tokenizer and the chat template in a GGUF's metadata to the form of tokenizer.json and tokenizer_config.json, which
 * tokenizer.ts and chat.ts then read like the files of a Hugging Face folder.
 *
 * Byte-level BPE ("gpt2") is stored with its merges. The way in which text is split before is stored as a name alone
 * (`tokenizer.ggml.pre`); this file has the splitting of each supported name. SentencePiece's BPE ("llama") is stored with scores,
 * from which the merges follow: all pairs of tokens that make a third token, in the order of the third token's score (as in
 * transformers' converter).
 */
import { KindredError } from "../base/errors.js";
import { brief } from "../base/json.js";
import type { GgufFile, GgufValue } from "./gguf.js";

export interface GgufTokenizer {
  /** The object of tokenizer.json. */
  readonly json: Readonly<Record<string, unknown>>;
  /** The object of tokenizer_config.json, with the chat template where there is one. */
  readonly config: Readonly<Record<string, unknown>>;
}

/** Types of tokens, as llama.cpp numbers them. */
const UNKNOWN = 2;
const CONTROL = 3;
const USER_DEFINED = 4;
const NORMAL = 1;

interface Splitting {
  readonly pre_tokenizer: unknown;
  readonly normalizer?: unknown;
  /** Whether a text that is a token is taken as that token, whatever the merges. */
  readonly ignoreMerges?: boolean;
  /** Whether a text begins with BOS where the metadata does not say. */
  readonly bos?: boolean;
}

const byteLevel = (use_regex: boolean) => ({
  type: "ByteLevel",
  add_prefix_space: false,
  trim_offsets: true,
  use_regex,
});
const splitBy = (pattern: string) => ({
  type: "Sequence",
  pretokenizers: [
    { type: "Split", pattern: { Regex: pattern }, behavior: "Isolated", invert: false },
    byteLevel(false),
  ],
});
const words = (digits: string) =>
  splitBy(
    `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|${digits}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`,
  );
const LLAMA3: Splitting = { pre_tokenizer: words("\\p{N}{1,3}"), ignoreMerges: true, bos: true };

/**
 * Splittings by the names that llama.cpp writes to `tokenizer.ggml.pre`, as in the models' own tokenizer.json. Ids equal llama.cpp's,
 * but for Qwen's: its tokenizer.json brings a text into NFC first, as the model was trained, and llama.cpp leaves that out.
 */
const SPLITTINGS: Readonly<Record<string, Splitting>> = {
  "gpt-2": { pre_tokenizer: byteLevel(true) },
  smollm: {
    pre_tokenizer: { type: "Sequence", pretokenizers: [{ type: "Digits", individual_digits: true }, byteLevel(true)] },
  },
  "llama-bpe": LLAMA3,
  llama3: LLAMA3,
  qwen2: { pre_tokenizer: words("\\p{N}"), normalizer: { type: "NFC" } },
};

/** The metadata's fields, checked when they are read. */
class Metadata {
  constructor(private readonly file: GgufFile) {}

  invalid(key: string, should: string): never {
    throw new KindredError("invalid_model", `${this.file.path}: metadata ${key} ${should}`, { file: this.file.path });
  }

  unsupported(key: string, value: unknown, supported: readonly string[]): never {
    throw new KindredError(
      "unsupported",
      `${this.file.path}: ${key} ${brief(value)} is not supported (supported: ${supported.join(", ")})`,
      { file: this.file.path },
    );
  }

  get(key: string): GgufValue | undefined {
    return this.file.metadata.get(`tokenizer.${key}`);
  }

  text(key: string): string | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === "string") return value;
    return this.invalid(`tokenizer.${key}`, "should be a text");
  }

  /** The templates of conversations, named as in a tokenizer_config.json. */
  chatTemplates(): readonly { readonly name: string; readonly template: string }[] {
    const own = "tokenizer.chat_template.";
    const keys = [...this.file.metadata.keys()].filter((key) => key.startsWith(own));
    const named = [
      ["default", "chat_template"],
      ...keys.map((key) => [key.slice(own.length), `chat_template.${key.slice(own.length)}`]),
    ];
    return named.flatMap(([name, key]) => {
      const template = this.text(key!);
      return template === undefined ? [] : [{ name: name!, template }];
    });
  }

  flag(key: string): boolean | undefined {
    const value = this.get(key);
    if (value === undefined || typeof value === "boolean") return value;
    return this.invalid(`tokenizer.${key}`, "should be true or false");
  }

  texts(key: string): readonly string[] {
    const value = this.get(key);
    if (Array.isArray(value) && value.length > 0) return value;
    return this.invalid(`tokenizer.${key}`, "should be a list of texts");
  }

  /** A list of numbers, one per token. */
  numbers(key: string, length: number): ArrayLike<number> {
    const value = this.get(key);
    if (ArrayBuffer.isView(value) && value.length === length) return value;
    return this.invalid(`tokenizer.${key}`, `should be a list of ${length} numbers, one per token`);
  }

  /** The token of the id that a field holds. */
  token(key: string, tokens: readonly string[]): string | undefined {
    const id = this.get(key);
    if (id === undefined) return undefined;
    const token = typeof id === "number" ? tokens[id] : undefined;
    return token ?? this.invalid(`tokenizer.${key}`, `should be the id of a token, 0 to ${tokens.length - 1}`);
  }
}

/**
 * The tokenizer and the chat template of a GGUF file.
 * @throws {KindredError} `invalid_model` where a field is missing or damaged; `unsupported` for a kind of tokenizer or a splitting
 *   that is not in the table
 */
export function ggufTokenizer(file: GgufFile): GgufTokenizer {
  const fields = new Metadata(file);
  const kind = fields.text("ggml.model");
  if (kind !== "gpt2" && kind !== "llama") fields.unsupported("tokenizer.ggml.model", kind, ["gpt2", "llama"]);
  const tokens = fields.texts("ggml.tokens");
  const types = fields.numbers("ggml.token_type", tokens.length);
  const special = (name: string) => fields.token(`ggml.${name}_token_id`, tokens);
  const [bos, eos, unknown] = [special("bos"), special("eos"), special("unknown")];

  const added: Record<string, unknown>[] = [];
  tokens.forEach((content, id) => {
    const type = types[id] as number;
    if (type !== CONTROL && type !== USER_DEFINED && type !== UNKNOWN) return;
    const marks = { single_word: false, lstrip: false, rstrip: false, normalized: false };
    added.push({ id, content, ...marks, special: type !== USER_DEFINED });
  });
  // fromEntries: a token may be called __proto__.
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const { leading, ...parts } =
    kind === "gpt2" ? byteLevelBpe(fields, vocab) : sentencePiece(fields, tokens, types, vocab, unknown);
  if (leading && bos === undefined)
    fields.invalid("tokenizer.ggml.bos_token_id", "is missing; expected the token that begins every text");
  const json = {
    version: "1.0",
    added_tokens: added,
    ...parts,
    post_processor: leading ? leadingToken(bos!, vocab) : null,
  };

  const templates = fields.chatTemplates();
  const config = {
    ...(bos === undefined ? {} : { bos_token: bos }),
    ...(eos === undefined ? {} : { eos_token: eos }),
    ...(unknown === undefined ? {} : { unk_token: unknown }),
    ...(templates.length === 0 ? {} : { chat_template: templates }),
  };
  return { json, config };
}

interface Parts {
  readonly normalizer: unknown;
  readonly pre_tokenizer: unknown;
  readonly decoder: unknown;
  readonly model: unknown;
  /** Whether a text begins with BOS. */
  readonly leading: boolean;
}

function byteLevelBpe(fields: Metadata, vocab: Readonly<Record<string, number>>): Parts {
  const pre = fields.text("ggml.pre");
  const names = Object.keys(SPLITTINGS);
  if (pre === undefined || !names.includes(pre)) return fields.unsupported("tokenizer.ggml.pre", pre, names);
  const { pre_tokenizer, normalizer = null, ignoreMerges = false, bos = false } = SPLITTINGS[pre] as Splitting;
  const merges = fields.texts("ggml.merges").map((merge) => {
    const pair = merge.split(" ");
    if (pair.length !== 2)
      fields.invalid(
        "tokenizer.ggml.merges",
        `holds ${JSON.stringify(merge.slice(0, 80))}; expected two tokens and a space between them`,
      );
    return pair;
  });
  return {
    normalizer,
    pre_tokenizer,
    decoder: byteLevel(true),
    model: { type: "BPE", ignore_merges: ignoreMerges, vocab, merges },
    leading: fields.flag("ggml.add_bos_token") ?? bos,
  };
}

function sentencePiece(
  fields: Metadata,
  tokens: readonly string[],
  types: ArrayLike<number>,
  vocab: Readonly<Record<string, number>>,
  unknown: string | undefined,
): Parts {
  const scores = fields.numbers("ggml.scores", tokens.length);
  const prefix = fields.flag("ggml.add_space_prefix") ?? true;
  const space = "\u2581";
  const spaces = { type: "Replace", pattern: { String: " " }, content: space };
  return {
    normalizer: prefix ? { type: "Sequence", normalizers: [{ type: "Prepend", prepend: space }, spaces] } : spaces,
    pre_tokenizer: null,
    decoder: {
      type: "Sequence",
      decoders: [
        { type: "Replace", pattern: { String: space }, content: " " },
        { type: "ByteFallback" },
        { type: "Fuse" },
        ...(prefix ? [{ type: "Strip", content: " ", start: 1, stop: 0 }] : []),
      ],
    },
    model: {
      type: "BPE",
      unk_token: unknown ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      merges: mergesOf(tokens, types, scores),
    },
    leading: fields.flag("ggml.add_bos_token") ?? true,
  };
}

/** The longest tokens of real vocabularies have about 64 characters. All splits of a token are tried. */
const MAX_TOKEN_CHARACTERS = 512;

/** Every pair of tokens that makes a token when joined, the best score first. */
function mergesOf(tokens: readonly string[], types: ArrayLike<number>, scores: ArrayLike<number>): string[][] {
  const normal = new Map<string, number>();
  tokens.forEach((token, id) => {
    if (types[id] === NORMAL || types[id] === USER_DEFINED) normal.set(token, id);
  });
  const merges: { readonly pair: [string, string]; readonly ids: readonly [number, number]; readonly score: number }[] =
    [];
  for (const [token, id] of normal) {
    const characters = Array.from(token.slice(0, MAX_TOKEN_CHARACTERS + 1));
    if (characters.length > MAX_TOKEN_CHARACTERS) continue;
    let at = 0;
    for (const character of characters.slice(0, -1)) {
      at += character.length;
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const ids = [normal.get(left), normal.get(right)] as const;
      if (ids[0] === undefined || ids[1] === undefined) continue;
      merges.push({ pair: [left, right], ids: ids as [number, number], score: scores[id] as number });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.ids[0] - b.ids[0] || a.ids[1] - b.ids[1]);
  return merges.map(({ pair }) => pair);
}

/** A post-processor that adds a token before a text. */
function leadingToken(token: string, vocab: Readonly<Record<string, number>>): unknown {
  const first = { SpecialToken: { id: token, type_id: 0 } };
  const [text, pair] = ["A", "B"].map((id) => ({ Sequence: { id, type_id: 0 } }));
  return {
    type: "TemplateProcessing",
    single: [first, text],
    pair: [first, text, first, pair],
    special_tokens: { [token]: { id: token, ids: [vocab[token]], tokens: [token] } },
  };
}
