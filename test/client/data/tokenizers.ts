/** A small real tokenizer for tests: one token per UTF-16 unit, with a leading special token where asked for. */
import type { Tokenizer } from "../../../client/data/types.js";

export const BOS = 1;

/** @param leading number of special tokens before a text */
export function characterTokenizer(leading = 1): Tokenizer {
  return {
    encode(text, { specials }) {
      const units = Array.from({ length: text.length }, (_, index) => text.charCodeAt(index));
      return Int32Array.from(specials ? [...new Array<number>(leading).fill(BOS), ...units] : units);
    },
  };
}

/** Text of tokens, special tokens as ^. */
export function spell(tokens: Int32Array): string {
  return [...tokens].map((token) => (token === BOS ? "^" : String.fromCharCode(token))).join("");
}
