/**
 * The graphs of the batched solver, the layout of a batch of subsets on them, and the division of subsets into batches.
 *
 * One matrix product per client multiplies its rows by the weight vectors of all subsets of the batch that contain it: the sketches
 * stay on the runtime as G [clients, rows, dim] (padded with rows of weight zero), the weight vectors [subsets, dim] are gathered to
 * [clients, columns, dim] by membership, and per-pair results are gathered back to [subsets, members, dim] and summed there.
 * No tensor has the size subsets x rows x dim. Symbolic sizes: N clients, K subsets, C columns per client, S members per subset.
 *
 * Among a client's rows, the terms of a single row come first, then the terms of several negatives, each padded to the largest.
 * Such a term is a logistic loss of -s, s = log sum exp(-z). It is kept as the parts of its Hessian: q = softmax(-z), the
 * probability of a wrong answer (times the covariance of the negatives' gradients under q) and the curvature (along their mean).
 */
import { type Graph, GraphBuilder, type Value } from "../../shared/graph/graph.js";

/** The places of a batch's (subset, member) pairs in the [clients, columns] grid. */
export interface Layout {
  readonly subsets: readonly ArrayLike<number>[];
  /** C: pairs of the client with the most. */
  readonly columns: number;
  /** S: members of the largest subset. */
  readonly members: number;
  /** [clients, columns] subset of each pair; 0 where there is none (its result is computed and never read). */
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

/** Grid positions, in `from`, of the pairs of a layout of some of its subsets: they move a kept [clients, columns, ..] tensor. */
export function relocate(clients: number, from: Layout, kept: readonly number[], to: Layout): Int32Array {
  const positions = new Int32Array(clients * to.columns);
  kept.forEach((old, k) => {
    for (let s = 0; s < to.subsets[k]!.length; s++)
      positions[to.slots[k * to.members + s]!] = from.slots[old * from.members + s]!;
  });
  return positions;
}

/**
 * Consecutive ranges [from, to) of subsets, each within the limit on memory and of about the same size.
 * @param batchNumbers numbers in the largest tensor [clients, columns, max(rows, dim)] of a range
 */
export function batchRanges(
  subsets: readonly ArrayLike<number>[],
  sizes: Sizes,
  batchNumbers: number,
): [from: number, to: number][] {
  const { clients, rows, dim } = sizes;
  const mostColumns = Math.max(1, Math.floor(batchNumbers / (clients * Math.max(rows, dim))));
  const rangesOf = (most: number): [number, number][] => {
    const count = new Int32Array(clients);
    const ranges: [number, number][] = [];
    let from = 0;
    subsets.forEach((subset, k) => {
      let full = k - from >= most;
      for (let s = 0; s < subset.length; s++) full ||= k > from && count[subset[s]!]! + 1 > mostColumns;
      if (full) {
        ranges.push([from, k]);
        from = k;
        count.fill(0);
      }
      for (let s = 0; s < subset.length; s++) count[subset[s]!]!++;
    });
    ranges.push([from, subsets.length]);
    return ranges;
  };
  const fewest = rangesOf(subsets.length);
  return fewest.length === 1 ? fewest : rangesOf(Math.ceil(subsets.length / fewest.length));
}

export interface Sizes {
  readonly clients: number;
  /** Rows per client, padded: `single` + `several` x `negatives`. */
  readonly rows: number;
  /** Terms of one row. */
  readonly single: number;
  /** Terms of several rows. */
  readonly several: number;
  /** Rows of the largest term. */
  readonly negatives: number;
  readonly dim: number;
}

/** Numbers kept per pair for `productGraph`. */
const keptWidth = ({ rows, several }: Sizes): number => rows + 2 * several;

/** Splits [clients, C or 1, rows] into the rows of terms of one row, and those of terms of several as [.., several, negatives]. */
function byTerm(g: GraphBuilder, rows: Value, { single, several, negatives }: Sizes): { one: Value; many: Value } {
  const many = g.slice(rows, 2, single, several * negatives);
  return {
    one: g.slice(rows, 2, 0, single),
    many: g.reshape(many, [...many.shape.slice(0, 2), several, negatives]),
  };
}

/** [.., several, n] as [.., several x n]. */
const flat = (g: GraphBuilder, terms: Value): Value =>
  g.reshape(terms, [...terms.shape.slice(0, 2), (terms.shape[2] as number) * (terms.shape[3] as number)]);

const column = (dim: number) => ["K", dim] as const;

/** Per-pair vectors [clients, C, width] summed over each subset's members: [K, width]. */
function sumMembers(g: GraphBuilder, pairs: Value, width: number): Value {
  const slots = g.input("slots", ["K", "S"], "int32");
  const present = g.input("present", ["K", 1, "S"]);
  const flat = g.flattenFront(g.reshape(pairs, ["N", "C", width]), 2);
  return g.reshape(g.matmul(present, g.gather(flat, slots)), column(width));
}

/**
 * Gradient of sum over terms of weight * log(1 + sum over its rows of exp(-(h + g.w))), for every subset at once; for every pair
 * its value and the sum of its rows' curvature, and the numbers of each row that `productGraph` takes.
 *
 * Half of the time is spent on operations per (row, subset), so the majorising curvature has a graph of its own.
 * @param folds number of sets of weights; where there are several, `pairWeight` chooses a set per pair: client * folds + fold
 * @param bounded whether the input `majorise` (1 or 0 per subset) can choose the majorising curvature
 */
export function gradientGraph(sizes: Sizes, folds: number, bounded: boolean): Graph {
  const { rows, dim, several } = sizes;
  const g = new GraphBuilder();
  const sketch = g.input("sketch", ["N", rows, dim]);
  const margin = g.input("margin", ["N", 1, rows]);
  const weights = g.input("weight", ["N", folds, rows]);
  const at = g.input("at", column(dim));
  const pairSubset = g.input("pairSubset", ["N", "C"], "int32");
  // Weights per pair; with one set, per client.
  const weight =
    folds === 1 ? weights : g.gather(g.flattenFront(weights, 2), g.input("pairWeight", ["N", "C"], "int32"));
  const weighed = (loss: Value, weight: Value): Value =>
    folds === 1 ? g.matmul(loss, weight, { transB: true }) : g.sum(g.mul(loss, weight), [2]);
  const z = g.add(g.matmul(g.gather(at, pairSubset), sketch, { transB: true }), margin);
  const majorise = bounded ? g.gather(g.input("majorise", ["K", 1]), pairSubset) : undefined;
  if (several === 0) {
    const { loss, slope, curvature } = logisticTerms(g, z, weight, majorise);
    return g.build({
      slopes: sumMembers(g, g.matmul(slope, sketch), dim),
      losses: weighed(loss, weight),
      curvatures: g.sum(curvature, [2]),
      curvature,
    });
  }
  const margins = byTerm(g, z, sizes);
  const weightOf = byTerm(g, weight, sizes);
  const one = logisticTerms(g, margins.one, weightOf.one, majorise);
  const against = g.neg(margins.many);
  const odds = g.reshape(g.logSumExp(against), ["N", "C", several]);
  const termWeight = g.reshape(g.slice(weightOf.many, 3, 0, 1), ["N", folds === 1 ? 1 : "C", several]);
  const many = logisticTerms(g, g.neg(odds), termWeight, majorise);
  const share = g.softmax(against);
  const ofTerm = (value: Value): Value => g.reshape(value, ["N", "C", several, 1]);
  const wrong = ofTerm(many.slope);
  const slope = g.concat([one.slope, flat(g, g.mul(share, wrong))], 2);
  const spread = g.mul(share, g.add(wrong, g.mul(share, g.sub(ofTerm(many.curvature), wrong))));
  return g.build({
    slopes: sumMembers(g, g.matmul(slope, sketch), dim),
    losses: g.add(weighed(one.loss, weightOf.one), weighed(many.loss, termWeight)),
    curvatures: g.add(g.sum(one.curvature, [2]), g.sum(spread, [2, 3])),
    curvature: g.concat([one.curvature, flat(g, share), many.slope, many.curvature], 2),
  });
}

/**
 * log(1 + exp(-z)), its weighted slope and its weighted curvature.
 * @param majorise [clients, C, 1] where 1, the curvature 1 / (2 max(2, |z|)): see reference.ts
 */
function logisticTerms(
  g: GraphBuilder,
  z: Value,
  weight: Value,
  majorise: Value | undefined,
): { loss: Value; slope: Value; curvature: Value } {
  const { loss, size } = logistic(g, z);
  const slope = g.mul(g.sigmoid(g.neg(z)), weight);
  const curvature = g.mul(slope, g.sigmoid(z));
  if (majorise === undefined) return { loss, slope, curvature };
  const bound = g.reciprocal(g.add(g.scalar(4), g.scale(g.relu(g.sub(size, g.scalar(2))), 2)));
  return { loss, slope, curvature: g.add(curvature, g.mul(majorise, g.sub(g.mul(bound, weight), curvature))) };
}

/** Hessian-vector products of every subset at once, from the kept curvature. */
export function productGraph(sizes: Sizes): Graph {
  const { rows, dim, single, several, negatives } = sizes;
  const g = new GraphBuilder();
  const sketch = g.input("sketch", ["N", rows, dim]);
  const kept = g.input("curvature", ["N", "C", keptWidth(sizes)]);
  const vectors = g.input("vectors", column(dim));
  const pairSubset = g.input("pairSubset", ["N", "C"], "int32");
  const along = g.matmul(g.gather(vectors, pairSubset), sketch, { transB: true });
  const curved = (): Value => {
    if (several === 0) return g.mul(along, kept);
    const { one, many } = byTerm(g, along, sizes);
    const share = g.reshape(g.slice(kept, 2, single, several * negatives), ["N", "C", several, negatives]);
    const ofTerm = (start: number): Value => g.reshape(g.slice(kept, 2, start, several), ["N", "C", several, 1]);
    const mean = g.sum(g.mul(share, many), [3], true);
    const spread = g.add(g.mul(ofTerm(rows), g.sub(many, mean)), g.mul(ofTerm(rows + several), mean));
    return g.concat([g.mul(one, g.slice(kept, 2, 0, single)), flat(g, g.mul(share, spread))], 2);
  };
  return g.build({ products: sumMembers(g, g.matmul(curved(), sketch), dim) });
}

/** Moves the kept curvature of some subsets to a layout of these alone. */
export function relocateGraph(sizes: Sizes): Graph {
  const g = new GraphBuilder();
  const from = g.input("from", ["N", "B", keptWidth(sizes)]);
  const positions = g.input("positions", ["N", "C"], "int32");
  return g.build({ curvature: g.gather(g.flattenFront(from, 2), positions) });
}

/**
 * For each (client, weight vector) pair, the `margins` of its rows [clients, C, rows] and the `losses` of its terms
 * [clients, C, single + several].
 */
export function lossGraph(sizes: Sizes): Graph {
  const { rows, dim, several } = sizes;
  const g = new GraphBuilder();
  const sketch = g.input("sketch", ["N", rows, dim]);
  const margin = g.input("margin", ["N", 1, rows]);
  const at = g.input("at", column(dim));
  const pairWeight = g.input("pairWeight", ["N", "C"], "int32");
  const margins = g.add(g.matmul(g.gather(at, pairWeight), sketch, { transB: true }), margin);
  if (several === 0) return g.build({ margins, losses: logistic(g, margins).loss });
  const { one, many } = byTerm(g, margins, sizes);
  const odds = g.reshape(g.logSumExp(g.neg(many)), ["N", "C", several]);
  return g.build({ margins, losses: g.concat([logistic(g, one).loss, logistic(g, g.neg(odds)).loss], 2) });
}

/** Copies the rows of some clients. @param folds sets of weights beside sketches and margins; 0: there are no weights */
export function selectGraph({ clients, rows, dim }: Sizes, folds: number): Graph {
  const g = new GraphBuilder();
  const chosen = g.input("chosen", ["N"], "int32");
  const of = (name: string, shape: readonly number[]) => g.gather(g.input(name, [clients, ...shape]), chosen);
  return g.build({
    sketch: of("sketch", [rows, dim]),
    margin: of("margin", [1, rows]),
    ...(folds > 0 ? { weight: of("weight", [folds, rows]) } : {}),
  });
}

/** G Q, the sketches in another basis (`rotate` false keeps theirs), and each client's sum of squares per entry. */
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
