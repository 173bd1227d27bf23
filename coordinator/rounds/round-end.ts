/**
 * A round from its answers to its end: updates are folded by the strategy, and the result is stored twice where it must be: what
 * the next round's clients start from, and the whole adapter that can be a member of an ensemble.
 */
import type { BlobRef } from "../../shared/wire/types.js";
import type { Rejection } from "../strategies/strategy.js";
import { isDrawn } from "./check.js";
import type { RoundFold, StoredState } from "./fold.js";
import { StoredTensors, storeTensors, type TensorBlobs } from "./stored-tensors.js";

/** What one round leaves for the next, as the journal keeps it. */
export interface RoundEnd {
  /** The tensors that are trained, which the next round's clients get; null before the first average. */
  readonly start: BlobRef | null;
  /** All tensors, for members; null before the first average. */
  readonly full: BlobRef | null;
  /** What the strategy remembers. */
  readonly state: StoredState | null;
}

export const NO_ROUND_YET: RoundEnd = { start: null, full: null, state: null };

/** Ends a round whose updates the fold has taken. Where none is accepted the round ends as it began. */
export async function endRound(
  fold: RoundFold,
  before: RoundEnd,
): Promise<RoundEnd & { readonly rejected: readonly Rejection[] }> {
  const { next, state, rejected } = await fold.finish();
  if (next === undefined) return { ...before, rejected };
  const { blobs, adapter } = fold.options;
  const full = await merged(blobs, before.full, next);
  const frozen = adapter.freezeA;
  const trained = new Map([...full.shapes].filter(([name]) => !(frozen && isDrawn(name))));
  const start = [full, next].find((stored) => sameNames(stored.shapes, trained));
  return {
    start: (start ?? (await storeTensors(blobs, trained, () => full))).ref,
    full: full.ref,
    state: state ?? null,
    rejected,
  };
}

/** The whole adapter: what the round trained, and the rest as it was. */
async function merged(blobs: TensorBlobs, before: BlobRef | null, next: StoredTensors): Promise<StoredTensors> {
  if (before === null) return next;
  const whole = await StoredTensors.open(blobs, before);
  const shapes = new Map([...whole.shapes, ...next.shapes]);
  if (sameNames(shapes, next.shapes)) return next;
  return storeTensors(blobs, shapes, (name) => (next.shapes.has(name) ? next : whole));
}

/** The same names in the same order: the blobs are then the same. */
function sameNames(a: ReadonlyMap<string, unknown>, b: ReadonlyMap<string, unknown>): boolean {
  const names = [...b.keys()];
  return a.size === b.size && [...a.keys()].every((name, at) => name === names[at]);
}
