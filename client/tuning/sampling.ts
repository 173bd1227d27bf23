/** The next token from its logits: the likeliest, or drawn. Knows no model and no text. */
import type { SeededRng } from "../../shared/base/random.js";

export interface SamplingPlan {
  /** Divides the logits before the draw; 0 takes the likeliest token. */
  readonly temperature: number;
  /** Draws from so many of the likeliest tokens; 0: from all (Fan et al. 2018). */
  readonly topK: number;
  /** Draws from the likeliest tokens whose probabilities first reach this sum; 1: from all (Holtzman et al. 2020). */
  readonly topP: number;
}

/** The token with the highest logit, the first of equals. @param logits [V] */
export function likeliestToken(logits: Float32Array): number {
  let best = 0;
  for (let id = 1; id < logits.length; id++) if ((logits[id] as number) > (logits[best] as number)) best = id;
  return best;
}

/** Where the sum of `odds` over `ids` reaches `share` of the whole sum; the last where rounding keeps it below. */
function reaching(ids: Uint32Array, odds: Float64Array, share: number): number {
  const whole = ids.reduce((sum, id) => sum + (odds[id] as number), 0);
  let sum = 0;
  for (let at = 0; at < ids.length; at++) {
    sum += odds[ids[at] as number] as number;
    if (sum >= share * whole) return at;
  }
  return ids.length - 1;
}

/** A token drawn as the plan says, in transformers' order: temperature, then k, then p. @param logits [V], finite */
export function sampleToken(logits: Float32Array, { temperature, topK, topP }: SamplingPlan, rng: SeededRng): number {
  const best = likeliestToken(logits);
  if (temperature === 0) return best;
  const top = logits[best] as number;
  const odds = Float64Array.from(logits, (z) => Math.exp((z - top) / temperature));
  let ids = Uint32Array.from(odds.keys());
  if (topK > 0 || topP < 1) {
    ids.sort((a, b) => (odds[b] as number) - (odds[a] as number) || a - b);
    if (topK > 0) ids = ids.subarray(0, topK);
    ids = ids.subarray(0, reaching(ids, odds, topP) + 1);
  }
  return ids[reaching(ids, odds, rng.uniform())] as number;
}
