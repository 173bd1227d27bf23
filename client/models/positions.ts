/**
 * Positions of a batch's tokens. A sequence is a forest of segments: a segment begins a text or continues an earlier segment.
 * Answers to one prompt then share its computation, and unrelated texts can share a sequence: a token attends to its own segment up
 * to itself and to the segments that this one continues, and to no other token.
 */
import { KindredError } from "../../shared/base/errors.js";

export interface Segment {
  readonly tokens: Int32Array;
  /** Index of the segment that this one continues, before it in the sequence; -1 begins a text. */
  readonly after: number;
}

export type Sequence = readonly Segment[];

/** A sequence of one text. */
export const singleText = (tokens: Int32Array): Sequence => [{ tokens, after: -1 }];

/** Tokens of all segments of a sequence. */
export const lengthOf = (sequence: Sequence): number => sequence.reduce((sum, { tokens }) => sum + tokens.length, 0);

/** Consecutive tokens of a sequence that are consecutive in their text too. */
export interface Span {
  /** First token within the sequence, and the one after the last. */
  readonly start: number;
  readonly end: number;
  /** Position of the first token in its text. */
  readonly position: number;
  /** The spans before it in its text, from the text's beginning. */
  readonly before: readonly Span[];
}

export class TokenPositions {
  /** Sequences: B. */
  readonly batch: number;
  /** Tokens of the longest sequence: K. Shorter sequences are padded on the right. */
  readonly totalLength: number;
  /** Tokens of each sequence that are run, all after the first `cached`: T. */
  readonly length: number;
  /** int32 [B, T]; 0 where padded. */
  readonly tokens: Int32Array;
  /** [B, T] position of each token in its text, from 0; 0 where padded. */
  readonly position: Int32Array;
  /** Of each sequence. */
  readonly spans: readonly (readonly Span[])[];

  /**
   * @param cached the number of first tokens of each sequence that have been run, their keys and values kept
   * @throws {KindredError} `internal` for a segment that continues a later one
   */
  constructor(
    sequences: readonly Sequence[],
    readonly cached = 0,
  ) {
    this.batch = sequences.length;
    this.totalLength = Math.max(cached + 1, ...sequences.map(lengthOf));
    this.length = this.totalLength - cached;
    this.tokens = new Int32Array(this.batch * this.length);
    this.position = new Int32Array(this.batch * this.length);
    this.spans = sequences.map((sequence, row) => this.place(sequence, row));
  }

  /** Writes a sequence's tokens and positions. */
  private place(sequence: Sequence, row: number): Span[] {
    const spans: Span[] = [];
    let start = 0;
    for (const { tokens, after } of sequence) {
      const parent = spans[after];
      if (after >= spans.length)
        throw new KindredError("internal", `a segment continues segment ${after}, which is not before it`);
      const position = parent === undefined ? 0 : parent.position + parent.end - parent.start;
      const end = start + tokens.length;
      for (let t = Math.max(start, this.cached); t < end; t++) {
        const at = row * this.length + t - this.cached;
        this.tokens[at] = tokens[t - start] as number;
        this.position[at] = position + t - start;
      }
      spans.push({ start, end, position, before: parent === undefined ? [] : [...parent.before, parent] });
      start = end;
    }
    return spans;
  }
}
