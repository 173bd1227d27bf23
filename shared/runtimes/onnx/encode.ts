/**
 * Encodes a graph as an ONNX model (opset 21). Frozen weights become external data in their own files, so that all sessions over one
 * file share one memory map.
 *
 * The cost of elementwise passes over activations is memory traffic, so operations are fused where ONNX permits it: a sum with placed
 * values has no pass of its own, norms, SiLU and rotary embedding are one operation each, and equal nodes are emitted once (0.25 s of
 * 1.77 s on the SmolLM2-135M shape, `npm run bench -- engine`). A sum with a product is not fused: Gemm copies its third input with
 * one thread (40 ms of 1.4 s).
 *
 * Every value's shape is declared. With symbolic sizes, ONNX Runtime infers few shapes. It cannot reuse the memory of values without
 * a shape, and yet searches all of them for each new value: this took 2.6 s of 3.3 s to create a session of 9,000 nodes, and grows
 * with the square of their number.
 */
import { sizeOf } from "../../base/tensors.js";
import type { Shape } from "../../graph/dims.js";
import type { Graph, Node, Op, Value } from "../../graph/graph.js";
import { placedInSums } from "../../graph/joins.js";
import { fillAttribute, floatAttribute, intAttribute, intsAttribute, stringAttribute } from "./attributes.js";
import { type PackedWeight, packedProduct } from "./packed.js";
import { type AttributeMessage, DATA_TYPE, Model, type ValueInfoMessage } from "./schema.js";
import { ModelWriter, valueInfo } from "./writer.js";

const OPSET = 21;
const MICROSOFT = "com.microsoft";

export interface EncodedGraph {
  /** Serialised ModelProto. */
  readonly model: Uint8Array;
  /** The folder that the model's external data is relative to; absent where it has none. */
  readonly weightsFolder?: string;
}

export interface EncodeOptions {
  /**
   * Whether the inverse root mean square is taken from the norm that computes it, as its second output: the cpu provider fills it,
   * the WebGPU provider leaves it empty.
   */
  readonly inverseOfNorm: boolean;
}

/** Encodes a graph. */
export function encodeOnnx(graph: Graph, options: EncodeOptions = { inverseOfNorm: true }): EncodedGraph {
  return new Encoder(graph, options).encode();
}

const ELEMENTWISE = {
  add: "Add",
  sub: "Sub",
  mul: "Mul",
  div: "Div",
  minimum: "Min",
  neg: "Neg",
  exp: "Exp",
  log: "Log",
  sqrt: "Sqrt",
  reciprocal: "Reciprocal",
  sigmoid: "Sigmoid",
  tanh: "Tanh",
  erf: "Erf",
  relu: "Relu",
} as const;

class Encoder extends ModelWriter {
  private readonly names = new Map<number, string>();
  /** `place` nodes that a sum includes, by the ids of both. */
  private readonly joined = new Map<number, Node>();
  /** Ids of values whose sigmoid the graph uses too. */
  private readonly sigmoids = new Set<number>();
  /** Names of inverse root mean squares and standard deviations that the graph uses; undefined before their norm is emitted. */
  private readonly inverses = new Map<string, string | undefined>();
  /** Packed weights by the id of their value. */
  private readonly packed = new Map<number, PackedWeight>();

  constructor(
    graph: Graph,
    private readonly options: EncodeOptions,
  ) {
    super(graph);
    this.findFusions();
  }

  /** Finds the nodes that can be fused with a later node. */
  private findFusions(): void {
    for (const { op, inputs } of this.graph.nodes) {
      const [first] = inputs;
      if (op.kind === "sigmoid") this.sigmoids.add(first!.id);
      if ((op.kind === "inverseRms" || op.kind === "inverseStd") && this.options.inverseOfNorm) {
        this.inverses.set(inverseKey(op.kind, first!, op.eps), undefined);
      }
    }
    for (const [sum, placed] of placedInSums(this.graph)) {
      this.joined.set(sum, placed);
      this.joined.set(placed.output.id, placed);
    }
  }

  encode(): EncodedGraph {
    const inputs: ValueInfoMessage[] = [];
    const outputs: ValueInfoMessage[] = [];
    for (const [name, value] of Object.entries(this.graph.inputs)) {
      this.names.set(value.id, name);
      inputs.push(valueInfo(name, value.shape, DATA_TYPE[value.dtype]));
    }
    for (const node of this.graph.nodes) this.node(node);
    for (const [name, value] of Object.entries(this.graph.outputs)) {
      // Each output needs a name of its own: one value may be several outputs, or an input too.
      this.nodes.push({
        op_type: "Identity",
        input: [this.name(value)],
        output: [`out:${name}`],
        attribute: [],
        domain: "",
      });
      outputs.push(valueInfo(`out:${name}`, value.shape, DATA_TYPE[value.dtype]));
    }
    const message = {
      ir_version: 10,
      producer_name: "kindred",
      opset_import: [
        { domain: "", version: OPSET },
        { domain: MICROSOFT, version: 1 },
      ],
      // In reverse: ONNX Runtime goes from the outputs to the nodes that they need, and of several nodes takes the last one first. So
      // it computes them in the graph's order. In the other order it would compute the lowest layer's gradient first and keep the
      // operands of all other gradients (0.19 GiB of a LoRA step of 8 x 64 tokens and 135 M parameters).
      graph: {
        name: "graph",
        node: this.nodes.toReversed(),
        initializer: this.initializers,
        input: inputs,
        output: outputs,
        value_info: [...this.declared.values()],
      },
    };
    const model = Model.encode(message).finish();
    return this.folder === undefined ? { model } : { model, weightsFolder: this.folder };
  }

  private name(value: Value): string {
    const name = this.names.get(value.id);
    if (this.packed.has(value.id)) throw new Error("a packed weight is used outside a matrix product");
    if (name === undefined) throw new Error(`value ${value.id} is used before it is made`);
    return name;
  }

  private node(node: Node): void {
    if (node.op.kind === "input") return;
    if (node.op.kind === "weight" && node.op.source.form !== undefined) {
      // Its form depends on the product: see packed.ts.
      this.packed.set(node.output.id, {
        source: node.op.source,
        form: node.op.source.form,
        shape: node.output.shape as [number, number],
      });
      return;
    }
    const joined = this.joined.get(node.output.id);
    if (joined === node) return; // the sum that includes it computes it
    const name = joined === undefined ? this.lower(node) : this.sum(node, joined);
    this.names.set(node.output.id, name);
    const { dtype, shape } = node.output;
    if (node.op.kind !== "weight" && node.op.kind !== "constant") this.declare(name, shape, DATA_TYPE[dtype]);
  }

  /** A sum with values placed at indices. */
  private sum({ inputs }: Node, part: Node): string {
    const other = inputs.find((input) => input !== part.output) as Value;
    const [values, indices] = part.inputs as [Value, Value];
    return this.placed(this.name(other), this.name(values), this.name(indices));
  }

  private placed(base: string, values: string, indices: string): string {
    return this.emit(
      "ScatterElements",
      [base, indices, values],
      [intAttribute("axis", 1), stringAttribute("reduction", "add")],
    );
  }

  private reduced(type: "ReduceMax" | "ReduceSum", name: string, axes: readonly number[], keep: boolean): string {
    return this.emit(type, [name, this.ints(axes)], [intAttribute("keepdims", Number(keep))]);
  }

  /** Emits the ONNX nodes of one node. @returns the name of the result */
  private lower({ op, inputs, output }: Node): string {
    const packed = op.kind === "matmul" ? this.packed.get(inputs[1]!.id) : undefined;
    const args = (packed === undefined ? inputs : inputs.slice(0, 1)).map((value) => this.name(value));
    const [a, b] = args as [string, string];
    const first = inputs[0] as Value;
    switch (op.kind) {
      case "input":
        return op.name;
      case "weight": {
        const shape = output.shape as number[];
        return this.external(op.source, shape, DATA_TYPE.float32, {
          offset: op.source.offset,
          byteLength: 4 * sizeOf(shape),
        });
      }
      case "constant": {
        const name = this.fresh();
        this.initializers.push({
          name,
          dims: [...(output.shape as number[])],
          data_type: DATA_TYPE[output.dtype],
          raw_data: new Uint8Array(op.data.buffer, op.data.byteOffset, op.data.byteLength),
        });
        return name;
      }
      case "zeros":
        return this.zeros(this.shape(output.shape));
      case "step":
        return this.emit("Sign", [this.emit("Relu", [a])]);
      case "silu":
        return this.sigmoids.has(first.id)
          ? this.emit("Mul", [a, this.emit("Sigmoid", [a])])
          : this.emit("QuickGelu", [a], [floatAttribute("alpha", 1)], MICROSOFT);
      case "gelu":
      case "geluTanh":
        return this.emit("Gelu", [a], [stringAttribute("approximate", op.kind === "gelu" ? "none" : "tanh")]);
      case "rmsNorm":
        return this.norm("SimplifiedLayerNormalization", args, op.eps, inverseKey("inverseRms", first, op.eps), []);
      case "layerNorm":
        // The second output would be the mean.
        return this.norm("LayerNormalization", args, op.eps, inverseKey("inverseStd", first, op.eps), [""]);
      case "inverseRms":
        return this.inverses.get(inverseKey(op.kind, first, op.eps)) ?? this.inverseRms(a, first.shape, op.eps);
      case "inverseStd": {
        const there = this.inverses.get(inverseKey(op.kind, first, op.eps));
        if (there !== undefined) return there;
        const last = first.shape.length - 1;
        const mean = this.emit("ReduceMean", [a, this.ints([last])], [intAttribute("keepdims", 1)]);
        return this.inverseRms(this.emit("Sub", [a, mean]), first.shape, op.eps);
      }
      case "rotary": {
        const tableWidth = inputs[1]!.shape[1] as number;
        const attributes = [intAttribute("interleaved", Number(op.interleaved))];
        if (op.headDim !== 2 * tableWidth) {
          attributes.push(intAttribute("num_heads", (first.shape[2] as number) / op.headDim));
          attributes.push(intAttribute("rotary_embedding_dim", 2 * tableWidth));
        }
        return this.emit("RotaryEmbedding", [a, this.ints([0]), ...args.slice(1)], attributes, MICROSOFT);
      }
      case "matmul": {
        if (packed !== undefined) return packedProduct(this, a, packed, op);
        const attributes = productAttributes(op);
        if (output.shape.length === 2) return this.emit("Gemm", args, attributes);
        if (!op.transA && !op.transB && op.scale === 1) return this.emit("MatMul", args);
        return this.emit("FusedMatMul", args, attributes, MICROSOFT);
      }
      case "reshape":
        return this.emit("Reshape", [a, this.target(first.shape, output.shape)]);
      case "after": {
        // The target shape is all zeros, which copy x's axes. It is known when the other value is, and a Reshape moves no data.
        const axis = this.emit("Shape", [b], [intAttribute("start", 0), intAttribute("end", 1)]);
        return this.emit("Reshape", [a, this.emit("Mul", [axis, this.ints(first.shape.map(() => 0))])]);
      }
      case "expand": {
        const extra = output.shape.length - first.shape.length;
        // Expand broadcasts: only the repeated axes need their size.
        const needed = output.shape.map((dim, axis) => (axis >= extra && first.shape[axis - extra] === dim ? 1 : dim));
        return this.emit("Expand", [a, this.shape(needed)]);
      }
      case "transpose":
        return this.emit("Transpose", [a], [intsAttribute("perm", op.perm)]);
      case "sum":
        if (op.axes.length === 0) return this.emit("Identity", [a]);
        return this.reduced("ReduceSum", a, op.axes, op.keep);
      case "softmax":
        return this.softmax(a);
      case "logSumExp": {
        // max - log(softmax at the maximum): ReduceLogSumExp takes three times as long, and the backward pass uses the softmax.
        const last = [first.shape.length - 1];
        const likeliest = this.reduced("ReduceMax", this.softmax(a), last, true);
        return this.emit("Sub", [this.reduced("ReduceMax", a, last, true), this.emit("Log", [likeliest])]);
      }
      case "gather":
        return this.emit("Gather", args, [intAttribute("axis", op.axis)]);
      case "scatterRows": {
        const wide = this.emit("Cast", [b], [intAttribute("to", DATA_TYPE.int64)]);
        const index = this.emit("Unsqueeze", [wide, this.ints([1])]);
        const base = this.zeros(this.shape(output.shape));
        return this.emit("ScatterND", [base, index, a], [stringAttribute("reduction", "add")]);
      }
      case "pick":
        return this.emit("GatherElements", args, [intAttribute("axis", 1)]);
      case "place":
        return this.placed(this.zeros(this.shape(output.shape)), a, b);
      case "fill": {
        const values = this.emit("ConstantOfShape", [this.emit("Shape", [b])], [fillAttribute(op.value)]);
        return this.emit("ScatterElements", [a, b, values], [intAttribute("axis", 1)]);
      }
      case "slice":
        return this.sliced(a, op.axis, op.start, op.start + op.size);
      case "pad":
        return this.emit("Pad", [a, this.ints([op.before, op.after]), "", this.ints([op.axis])]);
      case "concat":
        return this.emit("Concat", args, [intAttribute("axis", op.axis)]);
      default:
        return this.emit(ELEMENTWISE[op.kind], args);
    }
  }

  /** A norm, with its inverse scale as another output where the graph uses it. @param between outputs before that one */
  private norm(type: string, args: string[], eps: number, key: string, between: readonly string[]): string {
    const attributes = [floatAttribute("epsilon", eps), intAttribute("axis", -1)];
    if (!this.inverses.has(key)) return this.emit(type, args, attributes);
    const [normed, inverse] = [this.fresh(), this.fresh()];
    this.nodes.push({
      op_type: type,
      input: args,
      output: [normed, ...between, inverse],
      attribute: attributes,
      domain: "",
    });
    this.inverses.set(key, inverse);
    return normed;
  }

  private inverseRms(name: string, shape: Shape, eps: number): string {
    const last = shape.length - 1;
    const square = this.emit("ReduceSumSquare", [name, this.ints([last])], [intAttribute("keepdims", 1)]);
    const mean = this.emit("Div", [square, this.float(shape[last] as number)]);
    return this.emit("Reciprocal", [this.emit("Sqrt", [this.emit("Add", [mean, this.float(eps)])])]);
  }

  private softmax(name: string): string {
    return this.emit("Softmax", [name], [intAttribute("axis", -1)]);
  }

  private sliced(name: string, axis: number, start: number, end: number): string {
    return this.emit("Slice", [name, this.ints([start]), this.ints([end]), this.ints([axis])]);
  }
}

function inverseKey(kind: "inverseRms" | "inverseStd", { id }: Value, eps: number): string {
  return `${kind} ${id} ${eps}`;
}

function productAttributes({ transA, transB, scale }: Extract<Op, { kind: "matmul" }>): AttributeMessage[] {
  return [
    intAttribute("transA", Number(transA)),
    intAttribute("transB", Number(transB)),
    floatAttribute("alpha", scale),
  ];
}
