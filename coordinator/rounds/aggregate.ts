/**
 * Federated averaging (McMahan et al. 2017) of named tensors, weighted by example counts; with LoRA's A frozen the average of
 * updates is the update of the average. What clients sent is checked first: one bad update is left out, with its reason, and
 * changes nothing for the others.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { FloatTensor, NamedTensors } from "../../shared/base/tensors.js";
import { type AdapterShapes, shapeError } from "./check.js";

export interface Update {
  readonly client: string;
  /** Training rows behind it. */
  readonly examples: number;
  readonly tensors: NamedTensors;
}

export interface Rejection {
  readonly client: string;
  readonly reason: string;
}

export interface Aggregate {
  /** Weighted mean over the accepted updates; empty where none was accepted. */
  readonly mean: NamedTensors;
  readonly accepted: readonly Update[];
  readonly rejected: readonly Rejection[];
}

/** Names and shapes, as one comparable text. */
function signature(tensors: NamedTensors): string {
  return JSON.stringify([...tensors].map(([name, { shape }]) => [name, ...shape]).sort());
}

/**
 * @param expected the right names and shapes; without it, what most updates have is right
 */
export function aggregate(updates: readonly Update[], expected?: AdapterShapes): Aggregate {
  const template = expected ?? mostCommon(updates);
  const rejected: Rejection[] = [];
  const good = updates.filter((update) => {
    const reason = template === undefined ? "there is no update" : shapeError(update.tensors, template);
    if (reason !== undefined) rejected.push({ client: update.client, reason });
    return reason === undefined;
  });
  const mean = new Map<string, FloatTensor>();
  const total = good.reduce((sum, { examples }) => sum + examples, 0);
  if (good.length > 0 && !(total > 0)) throw new KindredError("internal", "updates of no examples");
  for (const [name, { shape, data }] of good[0]?.tensors ?? []) {
    // Summed in float64: in float32 the order of clients shows in the seventh digit.
    const sum = new Float64Array(data.length);
    for (const { tensors, examples } of good) {
      const part = tensors.get(name)!.data;
      const share = examples / total;
      for (let i = 0; i < sum.length; i++) sum[i] = (sum[i] as number) + share * (part[i] as number);
    }
    mean.set(name, { shape, data: Float32Array.from(sum) });
  }
  return { mean, accepted: good, rejected };
}

function mostCommon(updates: readonly Update[]): NamedTensors | undefined {
  const seen = new Map<string, { count: number; tensors: NamedTensors }>();
  for (const { tensors } of updates) {
    const key = signature(tensors);
    const entry = seen.get(key) ?? { count: 0, tensors };
    entry.count++;
    seen.set(key, entry);
  }
  let best: { count: number; tensors: NamedTensors } | undefined;
  for (const entry of seen.values()) if (best === undefined || entry.count > best.count) best = entry;
  return best?.tensors;
}
