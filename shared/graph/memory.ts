/**
 * How much memory a run of a graph takes, from the graph alone: nodes in their order, each value from when it is made to its
 * last use. As runtimes do it, what only renames is free, equal nodes are computed once, and placed values are added where the
 * other summand lies. That runtimes write some results over their operands makes no difference to the peak of a step.
 *
 * Feeds and weights are not counted: they lie elsewhere.
 */
import { type Bindings, type Dim, product, resolve } from "./dims.js";
import type { Graph, OpKind } from "./graph.js";
import { placedInSums } from "./joins.js";

/** Renames its first operand. */
const ALIASES: ReadonlySet<OpKind> = new Set(["reshape", "after"]);
/** Lie elsewhere, or take next to nothing. */
const OUTSIDE: ReadonlySet<OpKind> = new Set(["input", "weight", "constant"]);
/** A buffer's life: it comes to be at one node, and is free behind another. */
interface Step {
  /** Elements made here; several where the node's result needs others that are kept as well. */
  readonly makes: readonly Dim[];
  /** Elements of buffers whose last use is here. */
  readonly frees: readonly Dim[];
}

export class MemoryCounter {
  private readonly steps: readonly Step[];
  /** Bytes of constants, which are there whether the graph runs or not. */
  readonly constantBytes: number;

  constructor(graph: Graph) {
    this.steps = lives(graph);
    this.constantBytes = graph.nodes.reduce(
      (sum, { op }) => sum + (op.kind === "constant" ? op.data.byteLength : 0),
      0,
    );
  }

  /** Most bytes of values that are there at once, outputs among them. @param bindings of the graph's symbols */
  peak(bindings: Bindings): number {
    const sizes = new Map<Dim, number>();
    const sum = (dims: readonly Dim[]): number =>
      dims.reduce<number>((total, dim) => {
        let size = sizes.get(dim);
        if (size === undefined) {
          size = 4 * resolve(dim, bindings);
          sizes.set(dim, size);
        }
        return total + size;
      }, 0);
    let now = 0;
    let most = 0;
    for (const { makes, frees } of this.steps) {
      now += sum(makes);
      most = Math.max(most, now);
      now -= sum(frees);
    }
    return most;
  }
}

function lives(graph: Graph): Step[] {
  const { nodes, outputs } = graph;
  // The buffer that holds a value: the id of the first that is equal to it or that it renames; none where it lies outside.
  const buffer = new Map<number, number | undefined>();
  const same = new Map<string, number>();
  const shapes = new Map<number, Dim>();
  const takenIn = new Set([...placedInSums(graph).values()].map(({ output }) => output.id));
  const sigmoids = new Set(nodes.flatMap(({ op, inputs }) => (op.kind === "sigmoid" ? [inputs[0]!.id] : [])));

  const made: { buffers: number[]; uses: number[] }[] = [];
  for (const { op, inputs, output } of nodes) {
    const [first] = inputs;
    const held = inputs.flatMap(({ id }) => buffer.get(id) ?? []);
    if (OUTSIDE.has(op.kind)) {
      buffer.set(output.id, undefined);
      continue;
    }
    if (ALIASES.has(op.kind)) {
      buffer.set(output.id, buffer.get(first!.id));
      made.push({ buffers: [], uses: held });
      continue;
    }
    const buffers: number[] = [];
    /** A value that is computed once for all that ask for it. */
    const once = (key: string, id: number, size: Dim): number => {
      const there = same.get(key);
      if (there !== undefined) return there;
      same.set(key, id);
      shapes.set(id, size);
      buffers.push(id);
      return id;
    };
    const operands = inputs.map(({ id }) => id).join();
    const used = [...held];
    // What a log of a sum of exponentials or a SiLU computes on the way, the backward pass takes again.
    const onTheWay = op.kind === "logSumExp" ? "softmax" : op.kind === "silu" ? "sigmoid" : undefined;
    if (onTheWay === "softmax" || (onTheWay === "sigmoid" && sigmoids.has(first!.id))) {
      used.push(once(`{"kind":"${onTheWay}"} ${operands}`, output.id + 0.5, product(first!.shape)));
    }
    const key = op.kind === "zeros" ? String(output.id) : `${JSON.stringify(op)} ${operands}`;
    const size = takenIn.has(output.id) ? 0 : product(output.shape);
    buffer.set(output.id, once(key, output.id, size));
    made.push({ buffers, uses: used });
  }
  const last = new Map<number, number>();
  made.forEach(({ buffers, uses }, at) => {
    for (const id of [...buffers, ...uses]) last.set(id, at);
  });
  for (const { id } of Object.values(outputs)) {
    const held = buffer.get(id);
    if (held !== undefined) last.delete(held);
  }
  const ends = new Map<number, number[]>();
  for (const [id, at] of last) ends.set(at, [...(ends.get(at) ?? []), id]);
  const sizes = (ids: readonly number[]): Dim[] => ids.map((id) => shapes.get(id) as Dim);
  return made.map(({ buffers }, at) => ({ makes: sizes(buffers), frees: sizes(ends.get(at) ?? []) }));
}
