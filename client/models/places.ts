/**
 * Where the tokens of a batch stand. A sequence is a forest of segments: one that begins a text, and others that each continue
 * one before them. Answers to one prompt then share its computation, and texts that have nothing to do with each other can
 * share a sequence: a token sees its own segment up to itself and the segments that this one continues, nothing else.
 */
import { KindredError } from "../../shared/base/errors.js";

export interface Segment {
  readonly tokens: Int32Array;
  /** Index of the segment that this one continues, before it in the sequence; -1 begins a text. */
  readonly after: number;
}

export type Sequence = readonly Segment[];

/** A text by itself. */
export const text = (tokens: Int32Array): Sequence => [{ tokens, after: -1 }];

/** Tokens of a sequence, all segments together. */
export const lengthOf = (sequence: Sequence): number => sequence.reduce((sum, { tokens }) => sum + tokens.length, 0);

/** Consecutive tokens of a sequence that are consecutive in their text too. */
export interface Span {
  /** First token within the sequence, and the one behind the last. */
  readonly start: number;
  readonly end: number;
  /** Place of the first token in its text. */
  readonly place: number;
  /** Spans that it continues, all the way to the beginning of its text. */
  readonly before: readonly Span[];
}

export class Places {
  readonly batch: number;
  /** Tokens of the longest sequence; shorter ones are padded on the right. */
  readonly whole: number;
  /** Those of them that are run: all behind the first `known`. */
  readonly length: number;
  /** int32 [B, T]; 0 where padded. */
  readonly tokens: Int32Array;
  /** [B, T] place of each token in its text; 0 where padded. */
  readonly place: Int32Array;
  /** Of each sequence. */
  readonly spans: readonly (readonly Span[])[];

  /**
   * @param known so many first tokens of each sequence have been run, their keys and values kept
   * @throws {KindredError} `internal` for a segment that continues a later one
   */
  constructor(
    sequences: readonly Sequence[],
    readonly known = 0,
  ) {
    this.batch = sequences.length;
    this.whole = Math.max(known + 1, ...sequences.map(lengthOf));
    this.length = this.whole - known;
    this.tokens = new Int32Array(this.batch * this.length);
    this.place = new Int32Array(this.batch * this.length);
    this.spans = sequences.map((sequence, row) => {
      const spans: Span[] = [];
      let start = 0;
      for (const { tokens, after } of sequence) {
        const parent = spans[after];
        if (after >= spans.length)
          throw new KindredError("internal", `a segment continues segment ${after}, which is not before it`);
        const place = parent === undefined ? 0 : parent.place + parent.end - parent.start;
        const end = start + tokens.length;
        for (let t = Math.max(start, known); t < end; t++) {
          const at = row * this.length + t - known;
          this.tokens[at] = tokens[t - start] as number;
          this.place[at] = place + t - start;
        }
        spans.push({ start, end, place, before: parent === undefined ? [] : [...parent.before, parent] });
        start = end;
      }
      return spans;
    });
  }
}
