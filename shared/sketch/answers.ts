/**
 * Which answers are told apart: the tokens that clients' answers begin with, in sets of those that the same clients use. A margin
 * against each set costs every row a backward pass, so their number is bounded. It knows nothing of rows or models.
 */

/** Sets at most, unless told: twelve real sets of labels make about ten. */
const MOST_SETS = 12;
/** Tokens of a set at most: all that one client may have, and what a task can carry. */
const MOST_TOKENS = 1024;

/**
 * @param choices of each client, token ids, each once
 * @returns disjoint sets, ascending within; those of most clients first. Beyond `most`, sets join the first ones in turn; a set that
 *   grows too large loses what joined it last
 */
export function answerSets(choices: readonly (readonly number[])[], most = MOST_SETS): number[][] {
  const users = new Map<number, number[]>();
  choices.forEach((tokens, client) => {
    for (const token of tokens) users.set(token, [...(users.get(token) ?? []), client]);
  });
  const sets = new Map<string, { clients: number; tokens: number[] }>();
  for (const [token, clients] of users) {
    const key = clients.join();
    const set = sets.get(key) ?? { clients: clients.length, tokens: [] };
    set.tokens.push(token);
    sets.set(key, set);
  }
  const ordered = [...sets.values()]
    .map(({ clients, tokens }) => ({ clients, tokens: tokens.sort((a, b) => a - b) }))
    .sort((a, b) => b.clients - a.clients || a.tokens[0]! - b.tokens[0]!);
  const kept = ordered.slice(0, most).map(({ tokens }) => [...tokens]);
  ordered.slice(most).forEach(({ tokens }, at) => {
    kept[at % most]!.push(...tokens);
  });
  return kept.map((tokens) => tokens.slice(0, MOST_TOKENS).sort((a, b) => a - b));
}
