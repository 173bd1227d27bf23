/** Causal attention of many heads, with grouped queries, and the masks that say who may look where. */
import type { Dim } from "../../shared/graph/dims.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { PositionTable, SequenceInputs } from "./architecture.js";

/** A weight that is far below any logit and yet finite: its softmax is exactly 0 in float32. */
export const MASKED = -1e9;

/**
 * [B, T, K]: 0 where a token may attend, a large negative number elsewhere.
 * @param window how many tokens it sees, itself among them (sliding window, Beltagy et al. 2020); all before it unless given
 */
export function causalMask(name: string, window = Number.POSITIVE_INFINITY): PositionTable {
  return {
    name,
    dtype: "float32",
    shape: ["B", "T", "K"],
    values: ({ batch, length, known, whole, spans }) => {
      const mask = new Float32Array(batch * length * whole).fill(MASKED);
      spans.forEach((sequence, row) => {
        for (const own of sequence) {
          for (let t = Math.max(own.start, known); t < own.end; t++) {
            const base = (row * length + t - known) * whole;
            const first = own.place + t - own.start - window + 1;
            for (const { start, end, place } of own.before) {
              mask.fill(0, base + Math.min(end, Math.max(start, start + first - place)), base + end);
            }
            mask.fill(0, base + Math.max(own.start, own.start + first - own.place), base + t + 1);
          }
        }
      });
      return mask;
    },
  };
}

export interface Heads {
  readonly heads: number;
  /** Divides `heads`: so many share a key and a value (Ainslie et al. 2023). */
  readonly kvHeads: number;
  readonly headDim: number;
}

/** What tokens see besides themselves. */
export interface Sight {
  /** [B, T, K] */
  readonly mask: Value;
  readonly past: SequenceInputs["past"];
}

/**
 * softmax(scale q kᵀ + mask) v, heads side by side.
 * @param states q [..., heads * headDim], k and v [..., kvHeads * headDim], each of B*T rows
 * @returns [B*T, heads * headDim]
 */
export function attend(
  g: GraphBuilder,
  states: { readonly q: Value; readonly k: Value; readonly v: Value },
  { heads, kvHeads, headDim }: Heads,
  { mask, past }: Sight,
  scale = headDim ** -0.5,
): Value {
  const group = heads / kvHeads;
  // Queries that share a key head are stacked as rows, so that keys and values are never repeated.
  const q = g.transpose(g.reshape(states.q, ["B", "T", kvHeads, group, headDim]), [0, 2, 3, 1, 4]);
  const heading = (x: Value): Value => g.transpose(g.reshape(x, ["B", "T", kvHeads, headDim]), [0, 2, 1, 3]);
  const { k, v } = past({ k: heading(states.k), v: heading(states.v) });
  const keys = k.shape[2] as Dim;
  const stacked = ["B", kvHeads, group === 1 ? "T" : `${group}*T`];
  const scores = g.matmul(g.reshape(q, [...stacked, headDim]), k, { transB: true, scale });
  const attention = g.softmax(
    g.add(g.reshape(scores, ["B", kvHeads, group, "T", keys]), g.reshape(mask, ["B", 1, 1, "T", keys])),
  );
  const mixed = g.matmul(g.reshape(attention, [...stacked, keys]), v);
  const merged = g.transpose(g.reshape(mixed, ["B", kvHeads, group, "T", headDim]), [0, 3, 1, 2, 4]);
  return g.reshape(merged, ["B*T", heads * headDim]);
}
