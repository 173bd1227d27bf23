/**
 * Encodes examples as tokens. Prompt and completion are encoded separately and verbatim, with the tokenizer's own leading special
 * tokens and no trailing ones, and truncated to a length. It knows no file, and of a model only the tokenizer and the chat template.
 *
 * Truncation: a prompt loses tokens on the left, after its leading special tokens. Plain text, which has no prompt, keeps its first
 * tokens. A conversation loses its oldest tokens and never any of its last assistant turn. A prompt with choices is truncated for
 * the longest choice, not for the right one: otherwise its length would depend on the right answer's length, and a model learns
 * answers from the position where they begin (on ten tasks truncated to 192 tokens, one of them reached a loss of 0.1 nats at an
 * accuracy of one half).
 */
import { KindredError } from "../../shared/base/errors.js";
import { renderChatPrompt, renderConversation } from "./conversation.js";
import type { ClientRows, EncodedDataset, EncodedRow, Example, Question, RenderChat, Tokenizer } from "./types.js";

export interface EncodeOptions {
  /** Longest row in tokens, special tokens included. At most the model's context. */
  readonly maxTokens: number;
  /** The model's chat template. Without it, rows of messages are refused. */
  readonly renderChat?: RenderChat | undefined;
}

type Of<K extends Example["kind"]> = Extract<Example, { kind: K }>;

export type QuestionWithChoices = Question & { readonly prompt: string; readonly choices: readonly string[] };

/** Bound of the cache of encoded completions: choices recur in every row, free answers do not and must not accumulate. */
const MAX_CACHED_COMPLETIONS = 2000;

function fail(where: string, message: string, cause?: unknown): KindredError {
  return new KindredError("invalid_data", `${where}: ${message}`, { where }, cause);
}

function concat(...parts: readonly Int32Array[]): Int32Array {
  const whole = new Int32Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

/** [from, from + 1, ..., to - 1]. */
function range(from: number, to: number): Int32Array {
  return Int32Array.from({ length: Math.max(0, to - from) }, (_, index) => from + index);
}

/**
 * A prompt truncated so that a completion of `length` tokens fits after it: its `leading` special tokens and as many of its last
 * tokens as fit.
 * @throws {RangeError} where the completion and the special tokens alone are longer than `maxTokens`
 */
export function cutPrompt(prompt: Int32Array, leading: number, length: number, maxTokens: number): Int32Array {
  const room = maxTokens - length;
  if (room < leading) throw new RangeError(`${leading} + ${length} tokens, more than ${maxTokens}`);
  if (prompt.length <= room) return prompt;
  return concat(prompt.subarray(0, leading), prompt.subarray(prompt.length - (room - leading)));
}

/** Encodes rows with one model's tokenizer. Encodings of choices are cached, because they recur in row after row. */
export class RowEncoder {
  private readonly completions = new Map<string, Int32Array>();

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly options: EncodeOptions,
  ) {}

  /** Number of special tokens before a text. It does not depend on the text. */
  private get leading(): number {
    return this.tokenizer.leading.length;
  }

  /** As `encodeOne`, of each example. */
  encode(examples: readonly Example[]): Promise<EncodedRow[]> {
    return inOrder(examples, (example) => this.encodeOne(example));
  }

  /**
   * One example's tokens, and which of them are scored.
   * @throws {KindredError} `invalid_data` naming the row: nothing to score, a completion too long; `unsupported` for
   * messages without a chat template
   */
  private encodeOne(example: Example): Promise<EncodedRow> {
    if (example.kind === "text") return this.encodeText(example);
    if (example.kind === "answer") return this.encodeAnswer(example);
    return this.encodeChat(example);
  }

  /**
   * Questions' choices as rows that can be scored. The right choice does not influence the choices' likelihoods: where the
   * question names no right choice, the first one stands for it.
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
   * Questions' prompts, truncated so that `room` tokens may follow it. A conversation ends where the assistant's turn begins.
   * @throws {KindredError} `invalid_data` naming the row: a prompt without tokens, no room for it; `unsupported` for messages
   * without a chat template
   */
  encodePrompts(questions: readonly Question[], room: number): Promise<Int32Array[]> {
    return inOrder(questions, (question) => this.encodePrompt(question, room));
  }

  private async encodePrompt({ prompt, where }: Question, room: number): Promise<Int32Array> {
    const { maxTokens } = this.options;
    const chat = typeof prompt !== "string";
    const tokens = chat
      ? await this.idsOf(renderChatPrompt(prompt, this.options.renderChat, where), false)
      : await this.idsOf(prompt, true);
    const leading = chat ? 0 : this.leading;
    if (tokens.length === 0) throw fail(where, "the prompt has no tokens, so there is nothing to continue");
    if (room + leading >= maxTokens) {
      throw fail(
        where,
        `${room} new tokens leave no room for the prompt within ${maxTokens} tokens; ask for fewer new tokens`,
      );
    }
    return cutPrompt(tokens, leading, room, maxTokens);
  }

  private async encodeText({ text, where }: Of<"text">): Promise<EncodedRow> {
    const tokens = (await this.idsOf(text, true)).slice(0, this.options.maxTokens);
    if (tokens.length < 2) throw fail(where, "the text has nothing to score; expected at least two tokens");
    return { tokens, scored: range(1, tokens.length) };
  }

  private async encodeAnswer({ prompt: text, completion, choices, where }: Of<"answer">): Promise<EncodedRow> {
    const answer = await this.encodeCompletion(completion);
    const encoded = choices && (await inOrder(choices, (choice) => this.encodeCompletion(choice)));
    const before = await this.promptBefore(text, [answer, ...(encoded ?? [])], where);
    const tokens = concat(before, answer);
    const scored = range(Math.max(1, before.length), tokens.length);
    if (scored.length === 0) {
      throw fail(where, "the completion has nothing to score; expected a token that follows another token");
    }
    if (choices === undefined || encoded === undefined) return { tokens, scored };
    const empty = encoded.findIndex((choice) => choice.length === 0);
    if (empty >= 0) throw fail(where, `choices[${empty}] has no tokens to score`);
    return {
      tokens,
      scored,
      choices: { promptLength: before.length, tokens: encoded, answer: choices.indexOf(completion) },
    };
  }

  /**
   * The template writes special tokens itself, so the tokenizer adds no others, as in transformers.
   */
  private async encodeChat(chat: Of<"chat">): Promise<EncodedRow> {
    const { where } = chat;
    const { maxTokens, renderChat } = this.options;
    const { text, scored: turns } = renderConversation(chat, renderChat, where);
    const segments: { tokens: Int32Array; scored: boolean }[] = [];
    let from = 0;
    const extend = async (end: number, scored: boolean): Promise<void> => {
      segments.push({ tokens: await this.idsOf(text.slice(from, end), false), scored });
      from = end;
    };
    for (const { start, end } of turns) {
      await extend(start, false);
      await extend(end, true);
    }
    const whole = concat(...segments.map((segment) => segment.tokens));
    const reply = segments.at(-1)?.tokens.length ?? 0;
    if (reply > maxTokens) {
      throw fail(
        where,
        `the last assistant turn alone has ${reply} tokens, more than maxTokens ${maxTokens}; shorten it`,
      );
    }
    const lost = Math.max(0, whole.length - maxTokens);
    const scored: number[] = [];
    let at = -lost;
    for (const segment of segments) {
      for (let index = 0; index < segment.tokens.length; index++, at++) if (segment.scored && at >= 1) scored.push(at);
    }
    if (scored.length === 0) throw fail(where, "messages has nothing to score: the assistant's turns are empty");
    return { tokens: whole.slice(lost), scored: Int32Array.from(scored) };
  }

  /** The prompt, truncated for the longest of a row's answers: the completion, then the choices. */
  private async promptBefore(text: string, answers: readonly Int32Array[], where: string): Promise<Int32Array> {
    const { maxTokens } = this.options;
    const prompt = await this.idsOf(text, true);
    let longest = 0;
    answers.forEach(({ length }, at) => {
      if (length > answers[longest]!.length) longest = at;
    });
    const room = answers[longest]!.length;
    if (prompt.length + room <= maxTokens) return prompt;
    try {
      return cutPrompt(prompt, this.leading, room, maxTokens);
    } catch (cause) {
      const field = longest === 0 ? "the completion" : `choices[${longest - 1}]`;
      throw fail(
        where,
        `${field} alone is too long: ${(cause as Error).message}; shorten it or raise maxTokens`,
        cause,
      );
    }
  }

  private async encodeCompletion(text: string): Promise<Int32Array> {
    let tokens = this.completions.get(text);
    if (tokens === undefined) {
      tokens = await this.idsOf(text, false);
      if (this.completions.size >= MAX_CACHED_COMPLETIONS) this.completions.clear();
      this.completions.set(text, tokens);
    }
    return tokens;
  }

  private async idsOf(text: string, specials: boolean): Promise<Int32Array> {
    const [encoded] = await this.tokenizer.encode([text], { specials });
    return encoded!.ids;
  }
}

async function inOrder<A, B>(items: readonly A[], work: (item: A) => Promise<B>): Promise<B[]> {
  const done: B[] = [];
  for (const item of items) done.push(await work(item));
  return done;
}

/** All of a client's rows as tokens. */
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
