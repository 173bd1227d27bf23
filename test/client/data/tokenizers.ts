/** A small real tokenizer for tests: one token per UTF-16 unit, with a leading special token where asked for. */
import type { Tokenizer } from "../../../client/data/types.js";

export const BOS = 1;

/** @param leading number of special tokens before a text */
export function characterTokenizer(leading = 1): Tokenizer {
  const before = new Array<number>(leading).fill(BOS);
  return {
    leading: before,
    async encode(texts, { specials }) {
      return texts.map((text) => {
        const units = Array.from({ length: text.length }, (_, at) => at);
        const [codes, specialCodes] = [units.map((at) => text.charCodeAt(at)), specials ? before : []];
        const places = (own: readonly number[]) => Int32Array.from([...specialCodes.map(() => 0), ...own]);
        return {
          ids: Int32Array.from([...specialCodes, ...codes]),
          starts: places(units),
          ends: places(units.map((at) => at + 1)),
        };
      });
    },
  };
}

/**
 * As `characterTokenizer`, but some pieces of text are one token each: the longest that fits, from left to right. Their ids are those
 * of their first characters plus 100,000, so that pieces with the same first character are the same token.
 */
export function pieceTokenizer(pieces: readonly string[]): Tokenizer {
  const longestFirst = [...pieces].sort((a, b) => b.length - a.length);
  return {
    leading: [BOS],
    async encode(texts, { specials }) {
      return texts.map((text) => {
        const tokens = specials ? [{ id: BOS, start: 0, end: 0 }] : [];
        for (let start = 0; start < text.length; start = tokens.at(-1)!.end) {
          const piece = longestFirst.find((each) => text.startsWith(each, start));
          const id = text.charCodeAt(start) + (piece === undefined ? 0 : 100_000);
          tokens.push({ id, start, end: start + (piece ?? "x").length });
        }
        return {
          ids: Int32Array.from(tokens, ({ id }) => id),
          starts: Int32Array.from(tokens, ({ start }) => start),
          ends: Int32Array.from(tokens, ({ end }) => end),
        };
      });
    },
  };
}

/** Token ids of one text. */
export async function idsOf(tokenizer: Tokenizer, text: string, specials = true): Promise<number[]> {
  const [encoded] = await tokenizer.encode([text], { specials });
  return [...encoded!.ids];
}

/** Text of tokens, special tokens as ^. */
export function spell(tokens: Int32Array): string {
  return [...tokens].map((token) => (token === BOS ? "^" : String.fromCharCode(token))).join("");
}
