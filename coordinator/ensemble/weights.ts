/**
 * Decisions about an ensemble from validation scores alone: the length of a boosting step, and whether a group keeps the weights
 * that its clients fitted.
 */
import type { Score } from "../../tasks/evaluate/message.js";

/** Step lengths tried for a boosting adapter; 0 drops it. */
export const BOOSTING_STEPS: readonly number[] = [0, 0.1, 0.2, 0.35, 0.5, 0.75, 1];

type Loss = Pick<Score, "nllSum" | "tokens">;

/** Pooled loss of several clients' scores, nats per token. */
export function pooledLoss(scores: readonly Loss[]): number {
  let nll = 0;
  let tokens = 0;
  for (const score of scores) {
    nll += score.nllSum;
    tokens += score.tokens;
  }
  return tokens > 0 ? nll / tokens : Number.POSITIVE_INFINITY;
}

/**
 * Index of the alternative with the lowest pooled loss; the earlier one where they are equal, the first where no client has scores.
 * @param scores [clients][alternatives]
 */
export function bestAlternative(scores: readonly (readonly Loss[])[]): number {
  // The smallest of no numbers is infinity.
  const alternatives = scores.length === 0 ? 0 : Math.min(...scores.map((client) => client.length));
  let best = 0;
  let lowest = Number.POSITIVE_INFINITY;
  for (let at = 0; at < alternatives; at++) {
    const loss = pooledLoss(scores.map((client) => client[at] as Loss));
    if (loss < lowest) {
      lowest = loss;
      best = at;
    }
  }
  return best;
}
