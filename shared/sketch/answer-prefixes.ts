/**
 * Prefixes of clients' answers, grouped into sets of prefixes that the same clients have. It knows nothing of rows or models.
 *
 * A prefix is the first tokens of an answer. It represents its last token after the others: two answers take probability from each
 * other only at the token after a common prefix.
 */

export type AnswerPrefix = readonly number[];

/** Largest number of tokens of all sets: at most six bytes each, with lengths, they fit a message. */
export const MAX_SET_TOKENS = 262_144;

export const answerPrefixKey = (tokens: ArrayLike<number>): string => Array.prototype.join.call(tokens, ",");

/** Order by tokens; a prefix comes before a longer one that begins with it. */
export function compareAnswerPrefixes(a: AnswerPrefix, b: AnswerPrefix): number {
  for (let k = 0; k < a.length && k < b.length; k++) if (a[k] !== b[k]) return a[k]! - b[k]!;
  return a.length - b.length;
}

/**
 * Groups prefixes into sets of prefixes that the same clients have.
 * @param answerPrefixes of each client, each prefix once
 * @returns disjoint sets, each in ascending order; the sets of most clients first, as many as `MAX_SET_TOKENS` allow
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
      // The lengths and tags of a set take as many bytes as one more token.
      tokens += set.reduce((sum, { length }) => sum + length, 1);
      return tokens <= MAX_SET_TOKENS;
    });
}
