/** Types of a client's data: rows as text, which stay in client/data, and rows as token ids, which the rest of the client sees. */

/** The tokens of a text. Offsets count UTF-16 units of the text as it was given; special tokens put before it have 0 and 0. */
export interface TokenizedText {
  readonly ids: Int32Array;
  /** The first unit of each token. */
  readonly starts: Int32Array;
  /** The unit after the last one of each token. */
  readonly ends: Int32Array;
}

/** Turns text into token ids, exactly as transformers does with the same tokenizer.json. Knows nothing of rows. */
export interface Tokenizer {
  /** The special tokens that it puts before a text. */
  readonly leading: readonly number[];
  /**
   * Tokens of texts, verbatim: nothing is trimmed, no end-of-text token is added.
   * @param specials whether the leading special tokens are added; trailing ones never are
   * @throws {KindredError} `invalid_model` where the tokenizer cannot encode a text
   */
  encode(texts: readonly string[], options: { readonly specials: boolean }): Promise<readonly TokenizedText[]>;
}

/** One turn as the row gives it. A template may read further fields (`tool_calls`, `reasoning_content`, ...). */
export interface ChatMessage {
  readonly role: string;
  readonly [field: string]: unknown;
}

/** What a chat template is called with. */
export interface Conversation {
  readonly messages: readonly ChatMessage[];
  /** The row's further fields for the template: `tools`, `documents` and others that it reads. */
  readonly variables?: Readonly<Record<string, unknown>>;
}

/** Part of a text, in UTF-16 units: from `start` up to, not including, `end`. */
export interface TextRange {
  readonly start: number;
  readonly end: number;
}

export interface RenderedChat {
  readonly text: string;
  /** What the template marks as the assistant's by `{% generation %}`, ascending; undefined where it has no such tags. */
  readonly marked: readonly TextRange[] | undefined;
  /** Whether the template read a field of a message. */
  readMessage(index: number, field: string): boolean;
  /** Whether it read one of the conversation's variables. */
  readVariable(name: string): boolean;
}

/**
 * The model's chat template as a function: the text of a conversation, its special tokens written out. With
 * `addGenerationPrompt` it ends where the assistant's next turn would begin.
 * @throws {Error} where the template refuses the conversation; the message names the reason, and not the row
 */
export type RenderChat = (
  conversation: Conversation,
  options: { readonly addGenerationPrompt: boolean },
) => RenderedChat;

/** The completions that a row may have, each in the text that it makes with the prompt. */
export interface EncodedChoices {
  /** The row's first tokens that all choices have alike and that none is scored on. */
  readonly promptLength: number;
  /**
   * The tokens after these, one list per choice, in the order of the choices; no two lists are alike. A list begins with tokens of the
   * prompt where the choices change them.
   */
  readonly tokens: readonly Int32Array[];
  /** Of each choice the ascending indices into its list whose negative log-likelihood counts. Never empty. */
  readonly scored: readonly Int32Array[];
  /** Index of the right choice. */
  readonly answer: number;
}

/** One example. */
export interface EncodedRow {
  /** Prompt, then completion; special tokens included. */
  readonly tokens: Int32Array;
  /** Ascending indices into `tokens`, each at least 1, whose negative log-likelihood counts. Never empty. */
  readonly scored: Int32Array;
  readonly choices?: EncodedChoices;
}

export type Split = "train" | "validation" | "test";

export const SPLITS: readonly Split[] = ["train", "validation", "test"];

export interface EncodedDataset {
  readonly train: readonly EncodedRow[];
  readonly validation: readonly EncodedRow[];
  readonly test: readonly EncodedRow[];
}

/** A row that was read and checked, as text. `where` is `file:LINE` (and the row's index in the line) for messages. */
export type Example =
  | { readonly kind: "text"; readonly where: string; readonly text: string }
  | {
      readonly kind: "answer";
      readonly where: string;
      readonly prompt: string;
      readonly completion: string;
      /** Distinct, at least two, the completion among them. */
      readonly choices?: readonly string[];
    }
  | ({ readonly kind: "chat"; readonly where: string } & Conversation);

/** A row to be answered, read and checked, as text. */
export interface Question {
  readonly where: string;
  /** A text to be continued, or a conversation in which the assistant's turn comes next. */
  readonly prompt: string | Conversation;
  /** Distinct, at least two. */
  readonly choices?: readonly string[];
  /** The right answer, where the row has one. It is one of the choices, where there are choices. */
  readonly completion?: string;
}

/** One client's rows as text. No split is empty. */
export interface ClientRows {
  readonly name: string;
  readonly train: readonly Example[];
  readonly validation: readonly Example[];
  readonly test: readonly Example[];
  /** Splits that were drawn from the training rows because the data lacked them. */
  readonly drawn: readonly Split[];
}
