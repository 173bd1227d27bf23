/** What the rest of the client sees of a dataset: token ids, never text. */

/** A completion that a row may have, as tokens without special tokens. */
export interface EncodedChoices {
  /** Tokens of the prompt: the first `promptLength` of the row's. */
  readonly promptLength: number;
  /** One token list a choice, in the order given. */
  readonly tokens: readonly Int32Array[];
  /** Index of the right one. */
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

export interface EncodedDataset {
  readonly train: readonly EncodedRow[];
  readonly validation: readonly EncodedRow[];
  readonly test: readonly EncodedRow[];
}
