/** The next token from its logits: the likeliest token, or a drawn one. Knows no model and no text. */
import type { SeededRng } from "../../shared/base/random.js";

export interface SamplingPlan {
  /** Divides the logits before the draw. 0: the likeliest token is taken. */
  readonly temperature: number;
  /** Number of likeliest tokens that are drawn from; 0: all (Fan et al. 2018). */
  readonly topK: number;
  /** Tokens are drawn from the fewest likeliest tokens whose probabilities reach this sum; 1: from all (Holtzman et al. 2020). */
  readonly topP: number;
}

/** The token with the highest logit; of equal logits, the first token. @param logits [V] */
export function likeliestToken(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}

/** The index in `ids` at which the sum of `odds` reaches `share` of the total; the last index where rounding keeps it below. */
function indexAtShare(ids: Uint32Array, odds: Float64Array, share: number): number {
  const whole = ids.reduce((sum, id) => sum + (odds[id] as number), 0);
  let sum = 0;
  for (let at = 0; at < ids.length; at++) {
    sum += odds[ids[at] as number] as number;
    if (sum >= share * whole) return at;
  }
  return ids.length - 1;
}

/** A token by the plan, in transformers' order: temperature, then top k, then top p. @param logits [V], finite */
export function sampleToken(logits: Float32Array, { temperature, topK, topP }: SamplingPlan, rng: SeededRng): number {
  const best = likeliestToken(logits);
  if (temperature === 0) return best;
  const top = logits[best] as number;
  const odds = Float64Array.from(logits, (z) => Math.exp((z - top) / temperature));
  let ids = Uint32Array.from(odds.keys());
  if (topK > 0 || topP < 1) {
    ids.sort((a, b) => (odds[b] as number) - (odds[a] as number) || a - b);
    if (topK > 0) ids = ids.subarray(0, topK);
    ids = ids.subarray(0, indexAtShare(ids, odds, topP) + 1);
  }
  return ids[indexAtShare(ids, odds, rng.uniform())] as number;
}
