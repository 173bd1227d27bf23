/** Gradient checkpointing (Chen et al. 2016): values between checkpoints are computed a second time in the backward pass. */
import type { GraphBuilder, Node, Value } from "./graph.js";

/** The nodes of a backward pass with recomputed operands. */
export class Recomputation {
  /** Each checkpoint, delayed until the backward pass reaches the segment after it; undefined before that. */
  private readonly starts: (Value | undefined)[] = [];
  /** Recomputed values, by the ids of the original values. A value that depends on no checkpoint is its own. */
  private readonly made = new Map<number, Value>();

  constructor(
    private readonly g: GraphBuilder,
    private readonly checkpoints: readonly Value[],
  ) {}

  /** A node of the forward pass for its backward rule, with recomputed operands. @param grad gradient of its output */
  node(node: Node, grad: Value): Node {
    const at = this.segment(node.output.id);
    if (at === undefined) return node;
    this.starts[at] ??= this.g.after(this.checkpoints[at] as Value, grad);
    return {
      op: node.op,
      inputs: node.inputs.map((input) => this.value(at, input)),
      output: this.value(at, node.output),
    };
  }

  /** The index of the checkpoint before a value; undefined before the first checkpoint and after the last one. */
  private segment(id: number): number | undefined {
    const next = this.checkpoints.findIndex((checkpoint) => checkpoint.id >= id);
    return next > 0 ? next - 1 : undefined;
  }

  private value(at: number, value: Value): Value {
    const start = this.checkpoints[at] as Value;
    if (value.id === start.id) return this.starts[at] as Value;
    if (value.id < start.id) return value;
    const there = this.made.get(value.id);
    if (there !== undefined) return there;
    const { op, inputs } = this.g.at(value.id);
    const late = inputs.map((input) => this.value(at, input));
    const same = late.every((input, i) => input === inputs[i]);
    const made = same ? value : this.g.push(op, late, value.shape, value.dtype);
    this.made.set(value.id, made);
    return made;
  }
}
