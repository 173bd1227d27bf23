/**
 * Encodes examples as tokens. A row's text, prompt and completion joined verbatim, is encoded once and whole, with the tokenizer's
 * own leading special tokens and no trailing ones. The offsets say which tokens are scored: those that reach beyond the prompt's end.
 * Encoded apart, a completion would be another text to a tokenizer that acts at the start of texts: SentencePiece models put a space
 * there. This file knows no file, and of a model only the tokenizer and the chat template.
 *
 * Truncation: a prompt loses tokens on the left, after its leading special tokens. Plain text, which has no prompt, keeps its first
 * tokens. A conversation loses its oldest tokens and never any of its last assistant turn. A prompt with choices is truncated for
 * the longest choice, not for the right one: otherwise its length would depend on the right answer's length, and a model learns
 * answers from the position where they begin (on ten tasks truncated to 192 tokens, one of them reached a loss of 0.1 nats at an
 * accuracy of one half).
 */

import { renderChatPrompt, renderConversation } from "./conversation.js";
import { invalidData as fail } from "./faults.js";
import { commonPrefix } from "./prefix.js";
import type {
  ClientRows,
  EncodedChoices,
  EncodedDataset,
  EncodedRow,
  Example,
  Question,
  RenderChat,
  TextRange,
  TokenizedText,
  Tokenizer,
} from "./types.js";
import { show } from "./values.js";

export interface EncodeOptions {
  /** Longest row in tokens, special tokens included. At most the model's context. */
  readonly maxTokens: number;
  /** The model's chat template. Without it, rows of messages are refused. */
  readonly renderChat?: RenderChat | undefined;
  /** Tokens that the model has an embedding for: a row with the id of another is refused. @default all */
  readonly vocabulary?: number;
  /** The token that is appended to rows and scored, unless they end with it. @default none */
  readonly end?: {
    readonly token: number;
    /** "free answers": rows with a completion and no choices. */
    readonly rows: "free answers" | "all";
  };
}

type Of<K extends Example["kind"]> = Extract<Example, { kind: K }>;

export type QuestionWithChoices = Question & { readonly prompt: string; readonly choices: readonly string[] };

/** Texts that are encoded at once: enough to use all processors, few enough to bound memory. */
const TEXTS_AT_ONCE = 1024;

/** The texts of something to be encoded, and what is made of their tokens. */
interface Draft<T> {
  readonly where: string;
  readonly texts: readonly string[];
  /** Whether the tokenizer adds its leading special tokens. */
  readonly specials: boolean;
  finish(encoded: readonly TokenizedText[]): T;
}

/** The tokens of a row's text. */
interface ScoredText {
  readonly ids: Int32Array;
  /** Ascending indices into `ids`. */
  readonly scored: Int32Array;
}

/** Ids without `lost` of them, from the one at `from` on. */
function without(ids: Int32Array, from: number, lost: number): Int32Array {
  const kept = new Int32Array(ids.length - lost);
  kept.set(ids.subarray(0, from));
  kept.set(ids.subarray(from + lost), from);
  return kept;
}

function appended(list: Int32Array, value: number): Int32Array {
  const longer = new Int32Array(list.length + 1).fill(value);
  longer.set(list);
  return longer;
}

/** [from, from + 1, ..., to - 1]. */
function range(from: number, to: number): Int32Array {
  return Int32Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}

/**
 * Indices of the tokens with characters in a range of the text. A token without characters of its own, such as white space where
 * the tokenizer trims offsets, counts as the character before its place.
 */
function reaching({ starts, ends }: TokenizedText, ranges: readonly TextRange[]): Int32Array {
  return range(0, ends.length).filter((token) => {
    const [start, end] = [starts[token]!, ends[token]!];
    return ranges.some((each) => end > each.start && Math.min(start, end - 1) < each.end);
  });
}

/** Scored tokens after `lost` tokens are gone. A token with nothing before it is not scored. */
function scoredAfter(scored: Int32Array, lost: number): Int32Array {
  return scored.map((at) => at - lost).filter((at) => at >= 1);
}

/** Drafts in groups of about as many texts as are encoded at once. */
function* groupsOf<T>(drafts: Iterable<Draft<T>>): Generator<Draft<T>[]> {
  let group: Draft<T>[] = [];
  let texts = 0;
  for (const draft of drafts) {
    group.push(draft);
    texts += draft.texts.length;
    if (texts < TEXTS_AT_ONCE) continue;
    yield group;
    group = [];
    texts = 0;
  }
  if (group.length > 0) yield group;
}

/** Encodes rows with one model's tokenizer. */
export class RowEncoder {
  private cut = 0;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly options: EncodeOptions,
  ) {}

  /** Number of the rows and prompts so far that were longer than `maxTokens` and lost tokens. */
  get truncated(): number {
    return this.cut;
  }

  /**
   * Each example's tokens, and which of them are scored.
   * @throws {KindredError} `invalid_data` naming the row: nothing to score, a completion too long, choices of the same tokens;
   * `unsupported` for messages without a chat template; `invalid_model` where the tokenizer cannot encode a text
   */
  encode(examples: readonly Example[]): Promise<EncodedRow[]> {
    return this.all(examples, (example) => this.draftOf(example));
  }

  /**
   * Questions' choices as rows that can be scored. The right choice does not influence the choices' likelihoods: where a question
   * names no right choice, the first one stands for it.
   * @throws {KindredError} as `encode`
   */
  encodeChoices(questions: readonly QuestionWithChoices[]): Promise<EncodedRow[]> {
    return this.encode(
      questions.map(({ where, prompt, choices, completion = choices[0] }) => {
        return { kind: "answer", where, prompt, choices, completion: completion as string };
      }),
    );
  }

  /**
   * Questions' prompts, truncated so that `room` tokens may follow them. A conversation ends where the assistant's turn begins.
   * @throws {KindredError} `invalid_data` naming the row: a prompt without tokens, no room for it; `unsupported` for messages
   * without a chat template; `invalid_model` where the tokenizer cannot encode a text
   */
  encodePrompts(questions: readonly Question[], room: number): Promise<Int32Array[]> {
    return this.all(questions, ({ prompt, where }): Draft<Int32Array> => {
      const specials = typeof prompt === "string";
      const text = specials ? prompt : renderChatPrompt(prompt, this.options.renderChat, where);
      return { where, texts: [text], specials, finish: ([encoded]) => this.promptOf(encoded!.ids, room, where) };
    });
  }

  private async all<A, T>(items: readonly A[], draft: (item: A) => Draft<T>): Promise<T[]> {
    const made: T[] = [];
    const drafts = (function* () {
      for (const item of items) yield draft(item);
    })();
    for (const group of groupsOf(drafts)) {
      const encoded = new Map<boolean, TokenizedText[]>();
      for (const specials of [true, false]) {
        const texts = group.flatMap((each) => (each.specials === specials ? each.texts : []));
        encoded.set(specials, texts.length === 0 ? [] : [...(await this.tokenizer.encode(texts, { specials }))]);
      }
      for (const { where, texts, specials, finish } of group) {
        const own = encoded.get(specials)!.splice(0, texts.length);
        for (const [at, text] of texts.entries()) this.checkIds(own[at]!, text, where);
        made.push(finish(own));
      }
    }
    return made;
  }

  /** Added tokens, such as one for padding, may have ids that the model lacks: they are in the way only where a row has one. */
  private checkIds({ ids, starts, ends }: TokenizedText, text: string, where: string): void {
    const { vocabulary = Number.POSITIVE_INFINITY } = this.options;
    const at = ids.findIndex((id) => id >= vocabulary);
    if (at < 0) return;
    throw fail(
      where,
      `the text has the token ${show(text.slice(starts[at], ends[at]))} with the id ${ids[at]}, which the model lacks ` +
        `(vocab_size ${vocabulary}); write it otherwise, or give a model whose embedding was resized for it`,
    );
  }

  private draftOf(example: Example): Draft<EncodedRow> {
    const { where } = example;
    switch (example.kind) {
      case "text": {
        const finish: Draft<EncodedRow>["finish"] = ([encoded]) => this.textRow(example, encoded!.ids);
        return { where, texts: [example.text], specials: true, finish };
      }
      case "answer": {
        const texts = (example.choices ?? [example.completion]).map((completion) => example.prompt + completion);
        return { where, texts, specials: true, finish: (encoded) => this.answerRow(example, encoded) };
      }
      case "chat": {
        const { text, scored } = renderConversation(example, this.options.renderChat, where);
        // The template writes special tokens itself, so the tokenizer adds no others, as in transformers.
        return {
          where,
          texts: [text],
          specials: false,
          finish: ([encoded]) => this.chatRow(example, encoded!, scored),
        };
      }
    }
  }

  /** Number of the special tokens at the beginning, which truncation keeps. A chat template may have written them. */
  private leadingOf(ids: Int32Array): number {
    const { leading } = this.tokenizer;
    return leading.every((id, at) => ids[at] === id) ? leading.length : 0;
  }

  /** Counts a row. @param lost number of the tokens that it loses @returns the same */
  private noted(lost: number): number {
    if (lost > 0) this.cut += 1;
    return lost;
  }

  private promptOf(ids: Int32Array, room: number, where: string): Int32Array {
    const { maxTokens } = this.options;
    if (ids.length === 0) throw fail(where, "the prompt has no tokens, so there is nothing to continue");
    const leading = this.leadingOf(ids);
    if (room + leading >= maxTokens) {
      throw fail(
        where,
        `${room} new tokens leave no room for the prompt within ${maxTokens} tokens; ask for fewer new tokens`,
      );
    }
    return without(ids, leading, this.noted(Math.max(0, ids.length + room - maxTokens)));
  }

  /** A text with the end-of-text token behind it, where rows of its kind have one. */
  private ended(text: ScoredText, freeAnswer: boolean): ScoredText {
    const { end } = this.options;
    if (end === undefined || (end.rows === "free answers" && !freeAnswer)) return text;
    const { ids, scored } = text;
    if (ids.at(-1) === end.token) return text;
    return { ids: appended(ids, end.token), scored: appended(scored, ids.length) };
  }

  private textRow({ where }: Of<"text">, text: Int32Array): EncodedRow {
    const { ids } = this.ended({ ids: text, scored: range(1, text.length) }, false);
    this.noted(Math.max(0, ids.length - this.options.maxTokens));
    const tokens = ids.slice(0, this.options.maxTokens);
    if (tokens.length < 2) throw fail(where, "the text has nothing to score; expected at least two tokens");
    return { tokens, scored: range(1, tokens.length) };
  }

  /** @param encoded the prompt with each choice; with the completion alone where the row has no choices */
  private answerRow(
    { prompt, completion, choices, where }: Of<"answer">,
    encoded: readonly TokenizedText[],
  ): EncodedRow {
    const completions = [{ start: prompt.length, end: Number.POSITIVE_INFINITY }];
    const whole = encoded.map((text) =>
      this.ended({ ids: text.ids, scored: reaching(text, completions) }, choices === undefined),
    );
    const fieldOf = (at: number): string => (choices === undefined ? "the completion" : `choices[${at}]`);
    const { leading } = this.tokenizer;
    const lost = this.noted(this.tokensLost(whole, fieldOf, where));
    const kept = whole.map(({ ids, scored }): ScoredText => {
      return { ids: without(ids, leading.length, lost), scored: scoredAfter(scored, lost) };
    });
    const empty = kept.findIndex(({ scored }) => scored.length === 0);
    if (empty >= 0)
      throw fail(where, `${fieldOf(empty)} has nothing to score; expected a token that follows another token`);
    if (choices === undefined) return { tokens: kept[0]!.ids, scored: kept[0]!.scored };
    const answer = choices.indexOf(completion);
    const { ids, scored } = kept[answer]!;
    return { tokens: ids, scored, choices: this.choicesOf(kept, answer, { choices, where }) };
  }

  /**
   * Number of tokens that all of a row's texts lose after their leading special tokens, so that the longest of them fits.
   * @throws {KindredError} `invalid_data` where the tokens that are scored would be among them
   */
  private tokensLost(texts: readonly ScoredText[], fieldOf: (at: number) => string, where: string): number {
    const { maxTokens } = this.options;
    const longest = Math.max(...texts.map(({ ids }) => ids.length));
    const lost = Math.max(0, longest - maxTokens);
    if (lost === 0) return 0;
    const leading = this.tokenizer.leading.length;
    const promptOf = ({ ids, scored }: ScoredText): number => scored[0] ?? ids.length;
    const order = texts.map((text, at) => ({ text, at })).sort((a, b) => b.text.ids.length - a.text.ids.length);
    const short = order.find(({ text }) => promptOf(text) < leading + lost);
    if (short === undefined) return lost;
    const { ids } = short.text;
    throw fail(
      where,
      `${fieldOf(short.at)} alone is too long: ${leading} + ${ids.length - promptOf(short.text)} tokens, more than ` +
        `${maxTokens}; shorten it or raise maxTokens`,
    );
  }

  private choicesOf(
    texts: readonly ScoredText[],
    answer: number,
    { choices, where }: { readonly choices: readonly string[]; readonly where: string },
  ): EncodedChoices {
    const seen = new Map<string, number>();
    for (const [at, { ids }] of texts.entries()) {
      const key = ids.join();
      const same = seen.get(key);
      if (same !== undefined)
        throw fail(
          where,
          `choices[${same}] ${show(choices[same])} and choices[${at}] ${show(choices[at])} are the same tokens to this model, ` +
            "which cannot tell one from the other; remove one of them or write it otherwise",
        );
      seen.set(key, at);
    }
    const shared = commonPrefix(texts.map(({ ids }) => ids));
    const promptLength = Math.min(shared, ...texts.map(({ scored }) => scored[0]!));
    return {
      promptLength,
      tokens: texts.map(({ ids }) => ids.slice(promptLength)),
      scored: texts.map(({ scored }) => scored.map((at) => at - promptLength)),
      answer,
    };
  }

  private chatRow({ where }: Of<"chat">, encoded: TokenizedText, turns: readonly TextRange[]): EncodedRow {
    const { maxTokens } = this.options;
    const { ids, scored: whole } = this.ended({ ids: encoded.ids, scored: reaching(encoded, turns) }, false);
    const lost = this.noted(Math.max(0, ids.length - maxTokens));
    const leading = lost === 0 ? 0 : this.leadingOf(ids);
    const lastTurn = turns.findLast(({ start, end }) => end > start);
    const reply = ids.length - (lastTurn === undefined ? ids.length : (reaching(encoded, [lastTurn])[0] ?? ids.length));
    if (leading + reply > maxTokens) {
      throw fail(
        where,
        `the last assistant turn alone has ${reply} tokens, more than maxTokens ${maxTokens}; shorten it`,
      );
    }
    const left = whole.filter((at) => at < leading || at >= leading + lost);
    const scored = scoredAfter(left, lost);
    if (scored.length === 0) throw fail(where, "messages has nothing to score: the assistant's turns are empty");
    return { tokens: without(ids, leading, lost), scored };
  }
}

/** All of a client's rows as tokens. @throws {KindredError} as `RowEncoder.encode` */
export async function encodeClient(
  rows: ClientRows,
  tokenizer: Tokenizer,
  options: EncodeOptions,
): Promise<EncodedDataset> {
  const encoder = new RowEncoder(tokenizer, options);
  return {
    train: await encoder.encode(rows.train),
    validation: await encoder.encode(rows.validation),
    test: await encoder.encode(rows.test),
  };
}
