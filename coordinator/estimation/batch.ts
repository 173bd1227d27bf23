/**
 * The graphs of the batched solver and the layout of a batch of subsets on them.
 *
 * A client's rows meet all the weight vectors of the batch's subsets that hold it in one matrix product: the sketches stay on
 * the runtime as G [clients, rows, dim] (padded with rows of weight zero), the weight vectors [subsets, dim] are gathered to
 * [clients, columns, dim] by membership, and per-pair results are gathered back to [subsets, members, dim] and summed there.
 * Nothing of size subsets x rows x dim ever exists. Symbolic sizes: K subsets, C columns a client, S members a subset.
 */
import { type Graph, GraphBuilder, type Value } from "../../shared/graph/graph.js";

/** Where a batch's (subset, member) pairs lie in the [clients, columns] grid. */
export interface Layout {
  readonly subsets: readonly ArrayLike<number>[];
  /** C: pairs of the most used client. */
  readonly columns: number;
  /** S: members of the largest subset. */
  readonly members: number;
  /** [clients, columns] subset of each pair; 0 where there is none (computed, never read). */
  readonly pairSubset: Int32Array;
  /** [subsets, members] position of each pair in the grid; 0 where there is none. */
  readonly slots: Int32Array;
  /** [subsets, 1, members] 1 where there is a pair. */
  readonly present: Float32Array;
}

export function layOut(clients: number, subsets: readonly ArrayLike<number>[]): Layout {
  const count = new Int32Array(clients);
  let members = 0;
  for (const subset of subsets) {
    members = Math.max(members, subset.length);
    for (let s = 0; s < subset.length; s++) count[subset[s]!]!++;
  }
  const columns = count.reduce((a, b) => Math.max(a, b), 1);
  const pairSubset = new Int32Array(clients * columns);
  const slots = new Int32Array(subsets.length * members);
  const present = new Float32Array(subsets.length * members);
  count.fill(0);
  subsets.forEach((subset, k) => {
    for (let s = 0; s < subset.length; s++) {
      const i = subset[s]!;
      const position = i * columns + count[i]!++;
      pairSubset[position] = k;
      slots[k * members + s] = position;
      present[k * members + s] = 1;
    }
  });
  return { subsets, columns, members, pairSubset, slots, present };
}

/** Grid positions, in `from`, of the pairs of a layout of some of its subsets: what moves a kept [clients, columns, ..] tensor. */
export function relocate(clients: number, from: Layout, kept: readonly number[], to: Layout): Int32Array {
  const positions = new Int32Array(clients * to.columns);
  kept.forEach((old, k) => {
    for (let s = 0; s < to.subsets[k]!.length; s++)
      positions[to.slots[k * to.members + s]!] = from.slots[old * from.members + s]!;
  });
  return positions;
}

export interface Sizes {
  readonly clients: number;
  /** Rows a client, padded. */
  readonly rows: number;
  readonly dim: number;
}

const column = (dim: number) => ["K", dim] as const;

/** Per-pair vectors [clients, C, width] summed over each subset's members: [K, width]. */
function sumMembers(g: GraphBuilder, pairs: Value, clients: number, width: number): Value {
  const slots = g.input("slots", ["K", "S"], "int32");
  const present = g.input("present", ["K", 1, "S"]);
  const flat = g.flattenFront(g.reshape(pairs, [clients, "C", width]), 2);
  return g.reshape(g.matmul(present, g.gather(flat, slots)), column(width));
}

/**
 * Gradient of sum over rows of weight * log(1 + exp(-(h + g.w))), for every subset at once; for every pair its value and the sum
 * of its rows' curvature, and the curvature of each row (to be kept for `productGraph`).
 *
 * Half of the time goes into what is done to each (row, subset), so the majorising curvature has a graph to itself.
 * @param bounded whether the input `majorise` (1 or 0 a subset) can ask for it
 */
export function gradientGraph({ clients, rows, dim }: Sizes, bounded: boolean): Graph {
  const g = new GraphBuilder();
  const sketch = g.input("sketch", [clients, rows, dim]);
  const margin = g.input("margin", [clients, 1, rows]);
  const weight = g.input("weight", [clients, 1, rows]);
  const at = g.input("at", column(dim));
  const pairSubset = g.input("pairSubset", [clients, "C"], "int32");
  const z = g.add(g.matmul(g.gather(at, pairSubset), sketch, { transB: true }), margin);
  const wrong = g.sigmoid(g.neg(z));
  const slope = g.mul(wrong, weight);
  const { loss, size } = logistic(g, z);
  let curvature = g.mul(slope, g.sigmoid(z));
  if (bounded) {
    // 1 / (2 max(2, |z|)): see reference.ts.
    const bound = g.reciprocal(g.add(g.scalar(4), g.scale(g.relu(g.sub(size, g.scalar(2))), 2)));
    const majorise = g.gather(g.input("majorise", ["K", 1]), pairSubset);
    curvature = g.add(curvature, g.mul(majorise, g.sub(g.mul(bound, weight), curvature)));
  }
  return g.build({
    slopes: sumMembers(g, g.matmul(slope, sketch), clients, dim),
    losses: g.matmul(loss, weight, { transB: true }),
    curvatures: g.sum(curvature, [2]),
    curvature,
  });
}

/** Hessian-vector products of every subset at once, from the kept curvature. */
export function productGraph({ clients, rows, dim }: Sizes): Graph {
  const g = new GraphBuilder();
  const sketch = g.input("sketch", [clients, rows, dim]);
  const curvature = g.input("curvature", [clients, "C", rows]);
  const vectors = g.input("vectors", column(dim));
  const pairSubset = g.input("pairSubset", [clients, "C"], "int32");
  const along = g.mul(g.matmul(g.gather(vectors, pairSubset), sketch, { transB: true }), curvature);
  return g.build({ products: sumMembers(g, g.matmul(along, sketch), clients, dim) });
}

/** Moves the kept curvature of some subsets to a layout of these alone. */
export function relocateGraph({ clients, rows }: Sizes): Graph {
  const g = new GraphBuilder();
  const from = g.input("from", [clients, "B", rows]);
  const positions = g.input("positions", [clients, "C"], "int32");
  return g.build({ curvature: g.gather(g.flattenFront(from, 2), positions) });
}

/** Losses and margins of the rows of each (client, weight vector) pair: [clients, C, rows]. */
export function lossGraph({ clients, rows, dim }: Sizes): Graph {
  const g = new GraphBuilder();
  const sketch = g.input("sketch", [clients, rows, dim]);
  const margin = g.input("margin", [clients, 1, rows]);
  const at = g.input("at", column(dim));
  const pairWeight = g.input("pairWeight", [clients, "C"], "int32");
  const z = g.add(g.matmul(g.gather(at, pairWeight), sketch, { transB: true }), margin);
  return g.build({ losses: logistic(g, z).loss, margins: z });
}

/** Second moment of a sample of rows: X^T X. */
export function momentGraph(rows: number, dim: number): Graph {
  const g = new GraphBuilder();
  const sample = g.input("sample", [rows, dim]);
  return g.build({ moment: g.matmul(sample, sample, { transA: true }) });
}

/** G Q, sketches in another basis (`rotate` false leaves them as they are), and each client's sum of their squares. */
export function rotationGraph({ clients, rows, dim }: Sizes, rotate: boolean): Graph {
  const g = new GraphBuilder();
  const sketch = g.input("sketch", [clients, rows, dim]);
  const rotated = rotate ? g.matmul(sketch, g.input("basis", [dim, dim])) : sketch;
  const squares = g.sum(g.square(rotated), [1]);
  return g.build(rotate ? { rotated, squares } : { squares });
}

/** log(1 + exp(-z)) = relu(-z) + log(1 + exp(-|z|)), stable, and |z|. */
function logistic(g: GraphBuilder, z: Value): { loss: Value; size: Value } {
  const below = g.relu(g.neg(z));
  const size = g.add(g.relu(z), below);
  return { loss: g.add(below, g.log(g.add(g.scalar(1), g.exp(g.neg(size))))), size };
}
