/**
 * Whose updates a round has: the strategy selects the clients that are asked, and may close the round before all have answered. Both
 * decisions are journalled steps, so that a resumed run has the same clients in the round. It knows nothing of what clients send.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { Journal } from "../run/journal.js";
import type { Arrival, Round, Strategy } from "../strategies/strategy.js";

/** How often a strategy is asked while no client answers: deadlines are of seconds and more. */
const TICK_MS = 1000;

/** Names of the clients that are asked, in the clients' order. Without the strategy's word: all that have steps to do. */
export async function selectedClients(journal: Journal, strategy: Strategy, round: Round): Promise<readonly string[]> {
  const able = round.clients.filter(({ steps }) => steps > 0).map(({ name }) => name);
  if (strategy.select === undefined) return able;
  return journal.step(`select/${round.training}/${round.index}`, async () => {
    const chosen = new Set(strategy.select?.(round));
    const selected = able.filter((name) => chosen.delete(name));
    const known = new Set(round.clients.map(({ name }) => name));
    const strange = [...chosen].find((name) => !known.has(name));
    if (strange === undefined) return selected;
    const message = `strategy ${strategy.name}: select must give names of the round's clients, got ${JSON.stringify(strange)}`;
    throw new KindredError("invalid_option", message);
  });
}

/** Asks the selected clients. `arrived` is called as each has answered or failed; aborting `signal` withdraws the open tasks. */
export type AskSelected = (arrived: (client: string, ok: boolean) => void, signal: AbortSignal) => Promise<unknown>;

/** Names of the clients whose answers are in the round, in the clients' order. Without the strategy's word: all selected. */
export async function clientsOfRound(
  journal: Journal,
  strategy: Strategy,
  round: Round,
  selected: readonly string[],
  askSelected: AskSelected,
): Promise<readonly string[]> {
  const closes = strategy.closes?.bind(strategy);
  if (closes === undefined || selected.length === 0) return selected;
  const arrived = await journal.step(`closed/${round.training}/${round.index}`, () =>
    arrivalsUntilClosed(closes, round, askSelected),
  );
  const names = new Set(arrived);
  return selected.filter((name) => names.has(name));
}

/**
 * Asks clients until the strategy closes the round or all have answered.
 * @returns names of those that have answered, in the order of their arrival
 * @throws what the strategy throws, or the asking where it was not this function that withdrew the tasks
 */
export async function arrivalsUntilClosed(
  closes: NonNullable<Strategy["closes"]>,
  round: Round,
  askSelected: AskSelected,
): Promise<string[]> {
  const began = performance.now();
  const elapsed = (): number => performance.now() - began;
  const closing = new AbortController();
  const arrivals: Arrival[] = [];
  let failure: { readonly error: unknown } | undefined;
  const look = (): void => {
    if (closing.signal.aborted) return;
    try {
      if (!closes(arrivals, round, elapsed())) return;
    } catch (error) {
      failure = { error };
    }
    closing.abort();
  };
  const arrived = (client: string, ok: boolean): void => {
    if (closing.signal.aborted) return;
    arrivals.push({ client, ok, elapsedMs: elapsed() });
    look();
  };
  const timer = setInterval(look, TICK_MS);
  try {
    await askSelected(arrived, closing.signal);
  } catch (error) {
    // Tasks that this function withdrew end as cancelled; everything else is an error.
    if (!closing.signal.aborted) throw error;
  } finally {
    clearInterval(timer);
  }
  if (failure !== undefined) throw failure.error;
  return arrivals.map(({ client }) => client);
}
