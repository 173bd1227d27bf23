/**
 * The demo model's tokenizer in Hugging Face's format: every word of the corpus is one token, other words are spelt
 * in letters (WordPiece, Schuster and Nakajima 2012), case does not count. It knows the corpus and no model.
 */
import { corpus } from "./corpus.js";

export const SPECIAL_TOKENS = ["<unk>", "<s>", "</s>"] as const;

/** Enough rows to contain every word: the rarest is in one row of about 250. */
const ROWS_READ = 20_000;

/** tokenizer.json and tokenizer_config.json, as values. The same words, the same ids. */
export function demoTokenizer(): { tokenizer: Record<string, unknown>; config: Record<string, unknown> } {
  const words = new Set<string>();
  let read = 0;
  for (const row of corpus(0)) {
    const text = typeof row === "string" ? row : row.prompt + row.completion;
    for (const [word] of text.toLowerCase().matchAll(/\w+/g)) words.add(word);
    if (++read === ROWS_READ) break;
  }
  const signs = [..."abcdefghijklmnopqrstuvwxyz0123456789"];
  const marks = [...".,:;!?'\"-()/&%"];
  const tokens = new Set<string>([
    ...SPECIAL_TOKENS,
    ...marks,
    ...signs,
    ...signs.map((sign) => `##${sign}`),
    ...[...words].sort(),
  ]);
  const special = (content: string, id: number) => ({
    id,
    content,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
    special: true,
  });
  const [unknown, begin, end] = SPECIAL_TOKENS;
  const sequence = (id: "A" | "B") => [{ SpecialToken: { id: begin, type_id: 0 } }, { Sequence: { id, type_id: 0 } }];
  return {
    tokenizer: {
      version: "1.0",
      truncation: null,
      padding: null,
      added_tokens: SPECIAL_TOKENS.map(special),
      normalizer: { type: "Lowercase" },
      pre_tokenizer: { type: "BertPreTokenizer" },
      post_processor: {
        type: "TemplateProcessing",
        single: sequence("A"),
        pair: [...sequence("A"), ...sequence("B")],
        special_tokens: { [begin]: { id: begin, ids: [1], tokens: [begin] } },
      },
      decoder: { type: "WordPiece", prefix: "##", cleanup: true },
      model: {
        type: "WordPiece",
        unk_token: unknown,
        continuing_subword_prefix: "##",
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries([...tokens].map((token, id) => [token, id])),
      },
    },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      model_max_length: 64,
      unk_token: unknown,
      bos_token: begin,
      eos_token: end,
      clean_up_tokenization_spaces: false,
    },
  };
}
