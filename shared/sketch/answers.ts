/**
 * Which answers are told apart: how clients' answers begin, in sets of what the same clients use. It knows nothing of rows or
 * models.
 *
 * A beginning is the tokens of an answer from its first one on. It stands for its last token behind the others: only there, where
 * all before it is the same, do two answers take probability from each other.
 */

export type Beginning = readonly number[];

/** Tokens of all sets together: at six bytes each at most, their lengths included, they fit a message. */
export const MOST_TOKENS = 262_144;

export const beginningKey = (tokens: ArrayLike<number>): string => Array.prototype.join.call(tokens, ",");

/** By their tokens, a shorter one before what it begins. */
export function compareBeginnings(a: Beginning, b: Beginning): number {
  for (let k = 0; k < a.length && k < b.length; k++) if (a[k] !== b[k]) return a[k]! - b[k]!;
  return a.length - b.length;
}

/**
 * @param beginnings of each client's answers, each once
 * @returns disjoint sets, ascending within; those of most clients first, and as many as `MOST_TOKENS` allow
 */
export function answerSets(beginnings: readonly (readonly Beginning[])[]): Beginning[][] {
  const users = new Map<string, { beginning: Beginning; clients: number[] }>();
  beginnings.forEach((list, client) => {
    for (const beginning of list) {
      const key = beginningKey(beginning);
      const use = users.get(key) ?? { beginning, clients: [] };
      use.clients.push(client);
      users.set(key, use);
    }
  });
  const sets = new Map<string, { clients: number; beginnings: Beginning[] }>();
  for (const { beginning, clients } of users.values()) {
    const key = clients.join();
    const set = sets.get(key) ?? { clients: clients.length, beginnings: [] };
    set.beginnings.push(beginning);
    sets.set(key, set);
  }
  let tokens = 0;
  return [...sets.values()]
    .map(({ clients, beginnings }) => ({ clients, beginnings: beginnings.sort(compareBeginnings) }))
    .sort((a, b) => b.clients - a.clients || compareBeginnings(a.beginnings[0]!, b.beginnings[0]!))
    .map((set) => set.beginnings)
    .filter((set) => {
      // A set's own lengths and tags take as much as another token.
      tokens += set.reduce((sum, { length }) => sum + length, 1);
      return tokens <= MOST_TOKENS;
    });
}
