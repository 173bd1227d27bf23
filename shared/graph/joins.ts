/**
 * Sums that a runtime can compute in place: the result of a `place` node whose only use is a sum of its shape is added into the other
 * summand, and never becomes a tensor of its own.
 */
import { sameShape } from "./dims.js";
import type { Graph, Node } from "./graph.js";

/** The number of uses of each value by nodes and outputs, by its id. */
function usesOf({ nodes, outputs }: Graph): Map<number, number> {
  const uses = new Map<number, number>();
  const use = ({ id }: { readonly id: number }): void => void uses.set(id, (uses.get(id) ?? 0) + 1);
  for (const { inputs } of nodes) inputs.forEach(use);
  Object.values(outputs).forEach(use);
  return uses;
}

/** The `place` node that each such sum includes, by the id of the sum. */
export function placedInSums(graph: Graph): Map<number, Node> {
  const uses = usesOf(graph);
  const placed = new Map<number, Node>();
  const taken = new Map<number, Node>();
  for (const node of graph.nodes) {
    const { op, inputs, output } = node;
    if (op.kind === "place" && uses.get(output.id) === 1) placed.set(output.id, node);
    if (op.kind !== "add" || !inputs.every(({ shape }) => sameShape(shape, output.shape))) continue;
    const part = inputs.find(({ id }) => placed.has(id));
    if (part !== undefined) taken.set(output.id, placed.get(part.id)!);
  }
  return taken;
}
