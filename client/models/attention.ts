/** Causal attention of many heads, with grouped queries, and the masks that say which tokens a token may attend to. */
import type { Dim } from "../../shared/graph/dims.js";
import type { GraphBuilder, Value } from "../../shared/graph/graph.js";
import type { PositionTable, SequenceInputs } from "./architecture.js";

/** Added to the scores of masked tokens: far below any score and yet finite; its softmax is exactly 0 in float32. */
export const MASKED = -1e9;

/**
 * [B, T, K]: 0 where a token may attend, a large negative number elsewhere.
 * @param window tokens that it may attend to, itself included (sliding window, Beltagy et al. 2020). @default all before it
 */
export function causalMask(name: string, window = Number.POSITIVE_INFINITY): PositionTable {
  return {
    name,
    dtype: "float32",
    shape: ["B", "T", "K"],
    values: ({ batch, length, cached, totalLength, spans }) => {
      const mask = new Float32Array(batch * length * totalLength).fill(MASKED);
      spans.forEach((sequence, row) => {
        for (const own of sequence) {
          for (let t = Math.max(own.start, cached); t < own.end; t++) {
            const base = (row * length + t - cached) * totalLength;
            const first = own.position + t - own.start - window + 1;
            for (const { start, end, position } of own.before) {
              mask.fill(0, base + Math.min(end, Math.max(start, start + first - position)), base + end);
            }
            mask.fill(0, base + Math.max(own.start, own.start + first - own.position), base + t + 1);
          }
        }
      });
      return mask;
    },
  };
}

export interface HeadSizes {
  readonly heads: number;
  /** Heads of keys and values; a divisor of `heads`. heads / kvHeads query heads share one (Ainslie et al. 2023). */
  readonly kvHeads: number;
  /** Width of one head. */
  readonly headDim: number;
}

/** Which tokens the queries may attend to, and the keys and values of earlier runs. */
export interface AttentionContext {
  /** [B, T, K] */
  readonly mask: Value;
  readonly withPast: SequenceInputs["withPast"];
}

/**
 * softmax(scale q kᵀ + mask) v per head, the heads concatenated.
 * @param states q [..., heads * headDim], k and v [..., kvHeads * headDim], each of B*T rows
 * @returns [B*T, heads * headDim]
 */
export function attend(
  g: GraphBuilder,
  states: { readonly q: Value; readonly k: Value; readonly v: Value },
  { heads, kvHeads, headDim }: HeadSizes,
  { mask, withPast }: AttentionContext,
  scale = headDim ** -0.5,
): Value {
  const group = heads / kvHeads;
  // Queries that share a key head are stacked as rows, so that keys and values are never repeated.
  const q = g.transpose(g.reshape(states.q, ["B", "T", kvHeads, group, headDim]), [0, 2, 3, 1, 4]);
  const heading = (x: Value): Value => g.transpose(g.reshape(x, ["B", "T", kvHeads, headDim]), [0, 2, 1, 3]);
  const { k, v } = withPast({ k: heading(states.k), v: heading(states.v) });
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
