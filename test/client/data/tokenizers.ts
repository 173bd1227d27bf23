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

/** Token ids of one text. */
export async function idsOf(tokenizer: Tokenizer, text: string, specials = true): Promise<number[]> {
  const [encoded] = await tokenizer.encode([text], { specials });
  return [...encoded!.ids];
}

/** Text of tokens, special tokens as ^. */
export function spell(tokens: Int32Array): string {
  return [...tokens].map((token) => (token === BOS ? "^" : String.fromCharCode(token))).join("");
}
