/**
 * The process in which Hugging Face's tokenizers library runs. The library ends its process where a tokenizer.json or a text makes it
 * panic (a damaged character map, a regular expression that backtracks too long), and a user's file must not end Kindred.
 * It answers its parent's requests in their order.
 */
import { Tokenizer as Library } from "tokenizers";

export type TokenizerRequest = { readonly key: number } & (
  | {
      readonly kind: "load";
      /** The text of tokenizer.json. */
      readonly json: string;
      /** The contents of its added tokens. */
      readonly added: readonly string[];
      /** The contents of those that are found in the normalized text. */
      readonly normalized: readonly string[];
    }
  | { readonly kind: "encode"; readonly texts: readonly string[] }
  | { readonly kind: "decode"; readonly ids: readonly number[] }
  | { readonly kind: "idOf"; readonly token: string }
);

type LoadRequest = Extract<TokenizerRequest, { kind: "load" }>;

export interface Loaded {
  /** The special tokens that are put before a text; undefined where no text is encoded as any token. */
  readonly leading: readonly number[] | undefined;
  /** The ids of the added tokens; null for a token that the library leaves out. */
  readonly added: readonly (number | null)[];
  /** Two added tokens that the normalizer makes one text. Which of them the library takes depends on the order of a hash table. */
  readonly clash?: readonly [string, string] | undefined;
}

/** The tokens of several texts, one text after the other, without the special tokens of the post-processor. */
export interface EncodedTexts {
  /** Tokens of each text. */
  readonly lengths: Uint32Array;
  readonly ids: Uint32Array;
  /** Of each token its first character and the one after its last, in Unicode code points of its text. */
  readonly offsets: Uint32Array;
}

export type TokenizerAnswer =
  | { readonly value: unknown }
  /** What the library says. */
  | { readonly refused: string }
  /** The tokenizer of this key has to be loaded first. */
  | { readonly unloaded: true };

/** Tokenizers that are held. Programs use one; one of the largest vocabularies takes some 100 MB. */
const MAX_LOADED = 4;

const loaded = new Map<number, Library>();

async function load({ key, json, added, normalized }: LoadRequest): Promise<Loaded> {
  const library = Library.fromString(json);
  loaded.set(key, library);
  for (const oldest of [...loaded.keys()].slice(0, -MAX_LOADED)) loaded.delete(oldest);
  const ids = added.map((token) => library.tokenToId(token));
  return { leading: await leadingOf(library), added: ids, clash: clashOf(library, normalized) };
}

function clashOf(library: Library, contents: readonly string[]): [string, string] | undefined {
  const normalizer = library.getNormalizer();
  const first = new Map<string, string>();
  for (const content of contents) {
    const text = normalizer?.normalizeString(content) ?? content;
    const other = first.get(text);
    if (other !== undefined && other !== content) return [other, content];
    first.set(text, content);
  }
  return undefined;
}

/** The special tokens before a text, from the first of some texts that has tokens of its own. */
async function leadingOf(library: Library): Promise<number[] | undefined> {
  const tokens = Array.from({ length: 300 }, (_, id) => library.idToToken(id)).filter((token) => token !== null);
  for (const text of ["a", "0", ...tokens]) {
    // A vocabulary without a token for unknown words refuses most texts.
    const encoding = await library.encode(text, null, { addSpecialTokens: true }).catch(() => undefined);
    const own = encoding?.getSpecialTokensMask().indexOf(0) ?? -1;
    if (own >= 0) return encoding!.getIds().slice(0, own);
  }
  return undefined;
}

async function encode(library: Library, texts: readonly string[]): Promise<EncodedTexts> {
  const encodings = await library.encodeBatch([...texts], { addSpecialTokens: false });
  const lengths = Uint32Array.from(encodings, (encoding) => encoding.getLength());
  const count = lengths.reduce((sum, length) => sum + length, 0);
  const [ids, offsets] = [new Uint32Array(count), new Uint32Array(2 * count)];
  let at = 0;
  for (const encoding of encodings) {
    ids.set(encoding.getIds(), at);
    for (const [start, end] of encoding.getOffsets()) {
      offsets[2 * at] = start as number;
      offsets[2 * at + 1] = end as number;
      at++;
    }
  }
  return { lengths, ids, offsets };
}

async function answer(request: TokenizerRequest): Promise<TokenizerAnswer> {
  if (request.kind === "load") return { value: await load(request) };
  const library = loaded.get(request.key);
  if (library === undefined) return { unloaded: true };
  switch (request.kind) {
    case "encode":
      return { value: await encode(library, request.texts) };
    case "decode":
      return { value: await library.decode([...request.ids], false) };
    case "idOf":
      return { value: library.tokenToId(request.token) };
  }
}

process.on("message", async (request: TokenizerRequest) => {
  const given = await answer(request).catch((error: Error): TokenizerAnswer => ({ refused: error.message }));
  process.send?.(given);
});
// A signal to the group is the parent's to handle; without a parent this process ends by itself.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => {});
