/** How answers begin (AnswerPrefixes in proto/kindred/v1/answers.proto) as a field of messages. */
import { type AnswerPrefix, compareAnswerPrefixes, MAX_SET_TOKENS } from "../sketch/answer-prefixes.js";
import { list, present, refuse, whole } from "./checks.js";
import type { Field } from "./fields.js";
import { MAX_CHOICE_TOKENS } from "./limits.js";

interface AnswerPrefixesMessage {
  readonly lengths: readonly number[];
  readonly tokens: readonly number[];
}

/** Largest token id: runtimes index by int32. */
const INT32 = 2 ** 31 - 1;

/** Each once, ascending. */
export const answerPrefixes: Field<readonly AnswerPrefix[]> = {
  read: (name, value) => {
    const { lengths, tokens } = present(name, value) as AnswerPrefixesMessage;
    const ids = list(`${name}.tokens`, tokens, 0, MAX_CHOICE_TOKENS, (field, token) => whole(field, token, 0, INT32));
    let at = 0;
    let last: AnswerPrefix = [];
    const prefixes = list(`${name}.lengths`, lengths, 0, ids.length, (field, length) => {
      whole(field, length, 1, ids.length - at);
      const prefix = ids.slice(at, at + length);
      if (compareAnswerPrefixes(last, prefix) >= 0) refuse(field, "of a prefix behind the one before", length);
      at += length;
      last = prefix;
      return prefix;
    });
    return at === ids.length ? prefixes : refuse(`sum of ${name}.lengths`, `${ids.length} tokens`, at);
  },
  write: (prefixes) => ({ lengths: prefixes.map(({ length }) => length), tokens: prefixes.flat() }),
};

/** Sets of prefixes, at most `MAX_SET_TOKENS` tokens in all. */
export const answerPrefixSets: Field<readonly (readonly AnswerPrefix[])[]> = {
  read: (name, value) => {
    const sets = value as readonly AnswerPrefixesMessage[];
    const tokens = sets.reduce((sum, set) => sum + set.tokens.length, 0);
    if (tokens > MAX_SET_TOKENS) refuse(`tokens of ${name}`, `at most ${MAX_SET_TOKENS}`, tokens);
    return list(name, sets, 0, MAX_SET_TOKENS, (field, set) => answerPrefixes.read(field, set));
  },
  write: (sets) => sets.map((set) => answerPrefixes.write(set)),
};
