/** Choices as rows hold them, made of tokens. */
import type { EncodedChoices } from "../../client/data/types.js";

/** Choices after a prompt, each scored on all of its tokens. */
export function choicesOf(promptLength: number, choices: readonly ArrayLike<number>[], answer: number): EncodedChoices {
  const tokens = choices.map((choice) => Int32Array.from(choice));
  return { promptLength, tokens, scored: tokens.map((choice) => choice.map((_, at) => at)), answer };
}
