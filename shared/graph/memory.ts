/**
 * The memory of a graph's run, from the graph alone: nodes run in their order, and each value lives from its node to its last use. As
 * in runtimes, renamed values take no memory, equal nodes are computed once, and `place` adds into the other summand. Runtimes also
 * write some results over operands, which does not change the peak of a training step.
 *
 * Feeds and weights are not counted: other code holds them.
 */
import { type Bindings, type Dim, product, resolve } from "./dims.js";
import type { Graph, OpKind } from "./graph.js";
import { placedInSums } from "./joins.js";

/** Operations whose result is their first operand under another shape. */
const ALIASES: ReadonlySet<OpKind> = new Set(["reshape", "after"]);
/** Operations whose result other code holds, or which takes almost no memory. */
const OUTSIDE: ReadonlySet<OpKind> = new Set(["input", "weight", "constant"]);
/** Buffers that are allocated and freed at one node. */
interface Step {
  /** Elements of buffers that are allocated here; several where intermediate values are kept as well. */
  readonly allocates: readonly Dim[];
  /** Elements of buffers whose last use is here. */
  readonly frees: readonly Dim[];
}

export class MemoryCounter {
  private readonly steps: readonly Step[];
  /** Bytes of constants, which are held between runs too. */
  readonly constantBytes: number;

  constructor(graph: Graph) {
    this.steps = stepsOf(graph);
    this.constantBytes = graph.nodes.reduce(
      (sum, { op }) => sum + (op.kind === "constant" ? op.data.byteLength : 0),
      0,
    );
  }

  /** Peak bytes of values, outputs included. @param bindings values of the graph's symbols */
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
    for (const { allocates, frees } of this.steps) {
      now += sum(allocates);
      most = Math.max(most, now);
      now -= sum(frees);
    }
    return most;
  }
}

/** Allocations and frees, node by node. */
function stepsOf(graph: Graph): Step[] {
  const { nodes, outputs } = graph;
  // The buffer of a value: the id of the first equal or renamed value; undefined where other code holds it.
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
    /** The buffer of a value that is computed once for all its uses. */
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
    // The backward passes of logSumExp and SiLU use intermediate values of their forward passes.
    const intermediate = op.kind === "logSumExp" ? "softmax" : op.kind === "silu" ? "sigmoid" : undefined;
    if (intermediate === "softmax" || (intermediate === "sigmoid" && sigmoids.has(first!.id))) {
      used.push(once(`{"kind":"${intermediate}"} ${operands}`, output.id + 0.5, product(first!.shape)));
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
  return made.map(({ buffers }, at) => ({ allocates: sizes(buffers), frees: sizes(ends.get(at) ?? []) }));
}
