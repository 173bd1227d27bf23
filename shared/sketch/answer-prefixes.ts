/**
 * Which answers are told apart: how clients' answers begin, in sets of what the same clients use. It knows nothing of rows or
 * models.
 *
 * A beginning is the tokens of an answer from its first one on. It stands for its last token behind the others: only there, where
 * all before it is the same, do two answers take probability from each other.
 */

export type AnswerPrefix = readonly number[];

/** Tokens of all sets together: at six bytes each at most, their lengths included, they fit a message. */
export const MOST_TOKENS = 262_144;

export const answerPrefixKey = (tokens: ArrayLike<number>): string => Array.prototype.join.call(tokens, ",");

/** By their tokens, a shorter one before what it begins. */
export function compareAnswerPrefixes(a: AnswerPrefix, b: AnswerPrefix): number {
  for (let k = 0; k < a.length && k < b.length; k++) if (a[k] !== b[k]) return a[k]! - b[k]!;
  return a.length - b.length;
}

/**
 * @param answerPrefixes of each client's answers, each once
 * @returns disjoint sets, ascending within; those of most clients first, and as many as `MOST_TOKENS` allow
 */
export function answerSets(answerPrefixes: readonly (readonly AnswerPrefix[])[]): AnswerPrefix[][] {
  const users = new Map<string, { prefix: AnswerPrefix; clients: number[] }>();
  answerPrefixes.forEach((list, client) => {
    for (const prefix of list) {
      const key = answerPrefixKey(prefix);
      const use = users.get(key) ?? { prefix, clients: [] };
      use.clients.push(client);
      users.set(key, use);
    }
  });
  const sets = new Map<string, { clients: number; answerPrefixes: AnswerPrefix[] }>();
  for (const { prefix, clients } of users.values()) {
    const key = clients.join();
    const set = sets.get(key) ?? { clients: clients.length, answerPrefixes: [] };
    set.answerPrefixes.push(prefix);
    sets.set(key, set);
  }
  let tokens = 0;
  return [...sets.values()]
    .map(({ clients, answerPrefixes }) => ({ clients, answerPrefixes: answerPrefixes.sort(compareAnswerPrefixes) }))
    .sort((a, b) => b.clients - a.clients || compareAnswerPrefixes(a.answerPrefixes[0]!, b.answerPrefixes[0]!))
    .map((set) => set.answerPrefixes)
    .filter((set) => {
      // A set's own lengths and tags take as much as another token.
      tokens += set.reduce((sum, { length }) => sum + length, 1);
      return tokens <= MOST_TOKENS;
    });
}
