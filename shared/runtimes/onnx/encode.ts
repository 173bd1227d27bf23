/**
 * Encodes a graph as an ONNX model (opset 21). Frozen weights become external data that point into their own files, so that
 * every session over the same file shares one memory map.
 */
import { dirname, relative, sep } from "node:path";
import { type Dim, factors, type Shape } from "../../graph/dims.js";
import type { Graph, Node, Value } from "../../graph/graph.js";
import {
  ATTRIBUTE_TYPE,
  type AttributeMessage,
  DATA_TYPE,
  EXTERNAL,
  Model,
  type NodeMessage,
  type TensorMessage,
  type ValueInfoMessage,
} from "./schema.js";

const OPSET = 21;
const MICROSOFT = "com.microsoft";

export interface EncodedGraph {
  /** Serialised ModelProto. */
  readonly model: Uint8Array;
  /** The folder that the model's external data is relative to; absent where it has none. */
  readonly weightsFolder?: string;
}

export function encodeOnnx(graph: Graph): EncodedGraph {
  return new Encoder(graph).encode();
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
  relu: "Relu",
} as const;

class Encoder {
  private readonly nodes: NodeMessage[] = [];
  private readonly initializers: TensorMessage[] = [];
  private readonly names = new Map<number, string>();
  private readonly integers = new Map<string, string>();
  private readonly symbols = new Map<string, string>();
  private readonly folder: string | undefined;
  private count = 0;

  constructor(private readonly graph: Graph) {
    this.folder = commonFolder(graph);
  }

  encode(): EncodedGraph {
    const inputs: ValueInfoMessage[] = [];
    const outputs: ValueInfoMessage[] = [];
    for (const [name, value] of Object.entries(this.graph.inputs)) {
      this.names.set(value.id, name);
      inputs.push(valueInfo(name, value));
    }
    for (const node of this.graph.nodes) this.node(node);
    for (const [name, value] of Object.entries(this.graph.outputs)) {
      // An output has a name of its own: one value may be several outputs, or an input too.
      this.nodes.push({
        op_type: "Identity",
        input: [this.name(value)],
        output: [`out:${name}`],
        attribute: [],
        domain: "",
      });
      outputs.push(valueInfo(`out:${name}`, value));
    }
    const message = {
      ir_version: 10,
      producer_name: "kindred",
      opset_import: [
        { domain: "", version: OPSET },
        { domain: MICROSOFT, version: 1 },
      ],
      graph: { name: "graph", node: this.nodes, initializer: this.initializers, input: inputs, output: outputs },
    };
    const model = Model.encode(message).finish();
    return this.folder === undefined ? { model } : { model, weightsFolder: this.folder };
  }

  private name(value: Value): string {
    const name = this.names.get(value.id);
    if (name === undefined) throw new Error(`value ${value.id} is used before it is made`);
    return name;
  }

  private fresh(): string {
    return `t${this.count++}`;
  }

  private emit(
    type: string,
    input: string[],
    attribute: AttributeMessage[] = [],
    { domain = "", output = this.fresh() } = {},
  ): string {
    this.nodes.push({ op_type: type, input, output: [output], attribute, domain });
    return output;
  }

  /** An int64 vector known when encoding. */
  private ints(values: readonly number[]): string {
    const key = values.join(",");
    let name = this.integers.get(key);
    if (name === undefined) {
      name = this.fresh();
      const data = new BigInt64Array(values.map(BigInt));
      this.initializers.push({
        name,
        dims: [values.length],
        data_type: DATA_TYPE.int64,
        raw_data: new Uint8Array(data.buffer),
      });
      this.integers.set(key, name);
    }
    return name;
  }

  /** A one-element int64 vector that holds a symbol's value at run time. */
  private symbol(symbol: string): string {
    let name = this.symbols.get(symbol);
    if (name === undefined) {
      for (const [input, value] of Object.entries(this.graph.inputs)) {
        const axis = value.shape.indexOf(symbol);
        if (axis < 0) continue;
        const shape = this.emit("Shape", [input]);
        name = this.emit("Gather", [shape, this.ints([axis])], [intAttribute("axis", 0)]);
        break;
      }
      if (name === undefined) throw new Error(`no input of the graph has the dimension ${symbol}`);
      this.symbols.set(symbol, name);
    }
    return name;
  }

  /** A shape as an int64 vector. */
  private shape(shape: Shape): string {
    if (shape.every((dim) => typeof dim === "number")) return this.ints(shape as number[]);
    const parts: string[] = [];
    let fixed: number[] = [];
    for (const dim of shape) {
      if (typeof dim === "number") {
        fixed.push(dim);
        continue;
      }
      if (fixed.length > 0) parts.push(this.ints(fixed));
      fixed = [];
      parts.push(this.dim(dim));
    }
    if (fixed.length > 0) parts.push(this.ints(fixed));
    return parts.length === 1 ? (parts[0] as string) : this.emit("Concat", parts, [intAttribute("axis", 0)]);
  }

  private dim(dim: Dim): string {
    const { factor, symbols } = factors(dim);
    const terms = symbols.map((symbol) => this.symbol(symbol));
    if (factor !== 1) terms.push(this.ints([factor]));
    return terms.reduce((left, right) => this.emit("Mul", [left, right]));
  }

  /** The target of a Reshape; 0 copies the input's axis and -1 is what is left, so that most need no shape arithmetic. */
  private target(from: Shape, to: Shape): string {
    const plan = to.map((dim, axis) => (typeof dim === "number" ? dim : from[axis] === dim ? 0 : -1));
    return plan.filter((dim) => dim === -1).length <= 1 && to.every((dim) => dim !== 0)
      ? this.ints(plan)
      : this.shape(to);
  }

  private zeros(shape: string): string {
    return this.emit("ConstantOfShape", [shape], [fillAttribute(0)]);
  }

  private node(node: Node): void {
    if (node.op.kind !== "input") this.names.set(node.output.id, this.lower(node));
  }

  /** Emits the ONNX nodes of one node; returns the name of their result. */
  private lower({ op, inputs, output }: Node): string {
    const args = inputs.map((value) => this.name(value));
    const [a, b] = args as [string, string];
    const first = inputs[0] as Value;
    switch (op.kind) {
      case "input":
        return op.name;
      case "weight": {
        const name = this.fresh();
        const size = (output.shape as number[]).reduce((n, dim) => n * dim, 1);
        this.initializers.push({
          name,
          dims: [...(output.shape as number[])],
          data_type: DATA_TYPE.float32,
          data_location: EXTERNAL,
          external_data: [
            {
              key: "location",
              value: relative(this.folder as string, op.source.path)
                .split(sep)
                .join("/"),
            },
            { key: "offset", value: String(op.source.offset) },
            { key: "length", value: String(size * 4) },
          ],
        });
        return name;
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
      case "rotateHalf": {
        const axis = first.shape.length - 1;
        const half = (first.shape[axis] as number) / 2;
        const low = this.sliced(a, axis, 0, half);
        const high = this.sliced(a, axis, half, 2 * half);
        return this.emit("Concat", [this.emit("Neg", [high]), low], [intAttribute("axis", axis)]);
      }
      case "matmul": {
        const flags = [intAttribute("transA", Number(op.transA)), intAttribute("transB", Number(op.transB))];
        if (output.shape.length === 2) return this.emit("Gemm", args, flags);
        if (!op.transA && !op.transB) return this.emit("MatMul", args);
        return this.emit("FusedMatMul", args, flags, { domain: MICROSOFT });
      }
      case "reshape":
        return this.emit("Reshape", [a, this.target(first.shape, output.shape)]);
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
        return this.emit("ReduceSum", [a, this.ints(op.axes)], [intAttribute("keepdims", Number(op.keep))]);
      case "softmax":
        return this.emit("Softmax", [a], [intAttribute("axis", -1)]);
      case "logSumExp":
        return this.emit("ReduceLogSumExp", [a, this.ints([first.shape.length - 1])], [intAttribute("keepdims", 1)]);
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
      case "place": {
        const base = this.zeros(this.shape(output.shape));
        const attributes = [intAttribute("axis", 1), stringAttribute("reduction", "add")];
        return this.emit("ScatterElements", [base, b, a], attributes);
      }
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

  private sliced(name: string, axis: number, start: number, end: number): string {
    return this.emit("Slice", [name, this.ints([start]), this.ints([end]), this.ints([axis])]);
  }
}

function commonFolder(graph: Graph): string | undefined {
  let common: string[] | undefined;
  for (const { op } of graph.nodes) {
    if (op.kind !== "weight") continue;
    const parts = dirname(op.source.path).split(sep);
    if (common === undefined) {
      common = parts;
      continue;
    }
    const differs = common.findIndex((part, at) => parts[at] !== part);
    if (differs >= 0) common = common.slice(0, differs);
  }
  return common === undefined ? undefined : common.join(sep) || sep;
}

function valueInfo(name: string, { dtype, shape }: Value): ValueInfoMessage {
  const dim = shape.map((d) => (typeof d === "number" ? { dim_value: d } : { dim_param: d }));
  return { name, type: { tensor_type: { elem_type: DATA_TYPE[dtype], shape: { dim } } } };
}

const intAttribute = (name: string, i: number): AttributeMessage => ({ name, type: ATTRIBUTE_TYPE.int, i });
const intsAttribute = (name: string, ints: readonly number[]): AttributeMessage => ({
  name,
  type: ATTRIBUTE_TYPE.ints,
  ints,
});
const stringAttribute = (name: string, text: string): AttributeMessage => ({
  name,
  type: ATTRIBUTE_TYPE.string,
  s: new TextEncoder().encode(text),
});
const fillAttribute = (value: number): AttributeMessage => ({
  name: "value",
  type: ATTRIBUTE_TYPE.tensor,
  t: {
    name: "",
    dims: [1],
    data_type: DATA_TYPE.float32,
    raw_data: new Uint8Array(Float32Array.of(value).buffer),
  },
});
