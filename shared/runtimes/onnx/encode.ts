/**
 * Encodes a graph as an ONNX model (opset 21). Frozen weights become external data that point into their own files, so that
 * every session over the same file shares one memory map.
 *
 * Elementwise passes over activations cost as much as they move, so that what ONNX can join is joined: a sum with placed values
 * is computed in place of a pass of its own, norms, SiLU and rotary embedding are one operation each, and equal nodes are emitted
 * once (0.25 s of 1.77 s on the SmolLM2-135M shape, `npm run bench -- engine`). A sum with a product is left alone: Gemm copies
 * its third input with one thread (40 ms of 1.4 s).
 *
 * Every value's shape is declared. ONNX Runtime infers few of them where sizes are symbols, cannot reuse the memory of those that
 * it does not know, and yet searches them all for each new value: that took 2.6 s of 3.3 s to make a session of 9,000 nodes, and
 * grew with their square.
 */
import { dirname, relative, sep } from "node:path";
import { sizeOf } from "../../base/tensors.js";
import { type Dim, factors, type Shape } from "../../graph/dims.js";
import type { Graph, Node, Op, Value, WeightSource } from "../../graph/graph.js";
import { placedInSums } from "../../graph/joins.js";
import type { Part } from "../../quantization/layout.js";
import { fillAttribute, floatAttribute, intAttribute, intsAttribute, stringAttribute } from "./attributes.js";
import { type Emitter, type PackedWeight, packedProduct } from "./packed.js";
import {
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

export interface EncodeOptions {
  /**
   * Take the inverse root mean square from the norm that has computed it: a second output, which the cpu provider gives and
   * the WebGPU one leaves empty.
   */
  readonly inverseOfNorm: boolean;
}

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

class Encoder implements Emitter {
  private readonly nodes: NodeMessage[] = [];
  private readonly initializers: TensorMessage[] = [];
  private readonly names = new Map<number, string>();
  /** Shapes of the values that nodes give. */
  private readonly declared = new Map<string, ValueInfoMessage>();
  private readonly symbols = new Map<string, string>();
  /** What was emitted, by operation, inputs and attributes. */
  private readonly emitted = new Map<string, string>();
  /** By id: nodes that the sum which uses them computes. */
  private readonly joined = new Map<number, Node>();
  /** Ids of values whose sigmoid the graph asks for as well. */
  private readonly sigmoids = new Set<number>();
  /** Of norms whose inverse root mean square or standard deviation the graph asks for as well: its name, once there. */
  private readonly inverses = new Map<string, string | undefined>();
  /** Packed weights by the id of their value. */
  private readonly packed = new Map<number, PackedWeight>();
  /** Tensors that lie in files, or are held once, by what they are. */
  private readonly stored = new Map<string, string>();
  private readonly folder: string | undefined;
  private count = 0;

  constructor(
    private readonly graph: Graph,
    private readonly options: EncodeOptions,
  ) {
    this.folder = commonFolder(graph);
    this.survey();
  }

  /** Looks ahead: which nodes can be joined with a later one. */
  private survey(): void {
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
      // An output has a name of its own: one value may be several outputs, or an input too.
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
      // Last first: ONNX Runtime goes from the outputs to what they need, of several nodes to the one that stands last, so that
      // it computes them in the graph's own order. In the other order it takes the lowest layer's gradient first, and keeps
      // what the gradients of all the others need (0.19 GiB of a LoRA step of 8 x 64 tokens and 135 M parameters).
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
    if (this.packed.has(value.id)) throw new Error("a packed weight is used for something else than a product");
    if (name === undefined) throw new Error(`value ${value.id} is used before it is made`);
    return name;
  }

  private fresh(): string {
    return `t${this.count++}`;
  }

  emit(type: string, input: readonly string[], attribute: AttributeMessage[] = [], domain = ""): string {
    const key = JSON.stringify([type, input, attribute]);
    const there = this.emitted.get(key);
    if (there !== undefined) return there;
    const output = this.fresh();
    this.nodes.push({ op_type: type, input: [...input], output: [output], attribute, domain });
    this.emitted.set(key, output);
    return output;
  }

  external({ path }: WeightSource, dims: readonly number[], type: number, { offset, byteLength }: Part): string {
    return this.once(JSON.stringify([path, offset, dims, type]), {
      dims: [...dims],
      data_type: type,
      data_location: EXTERNAL,
      external_data: [
        {
          key: "location",
          value: relative(this.folder as string, path)
            .split(sep)
            .join("/"),
        },
        { key: "offset", value: String(offset) },
        { key: "length", value: String(byteLength) },
      ],
    });
  }

  held(dims: readonly number[], type: number, raw_data: Uint8Array): string {
    const key = JSON.stringify([Buffer.from(raw_data).toString("latin1"), dims, type]);
    return this.once(key, { dims: [...dims], data_type: type, raw_data });
  }

  /** An initializer, one for all that ask for the same. */
  private once(key: string, tensor: Omit<TensorMessage, "name">): string {
    let name = this.stored.get(key);
    if (name === undefined) {
      name = this.fresh();
      this.initializers.push({ name, ...tensor });
      this.stored.set(key, name);
    }
    return name;
  }

  /** An int64 vector known when encoding. */
  ints(values: readonly number[]): string {
    return this.held([values.length], DATA_TYPE.int64, new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer));
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
    if (node.op.kind === "input") return;
    if (node.op.kind === "weight" && node.op.source.form !== undefined) {
      // What it becomes depends on the product: see packed.ts.
      this.packed.set(node.output.id, {
        source: node.op.source,
        form: node.op.source.form,
        shape: node.output.shape as [number, number],
      });
      return;
    }
    const joined = this.joined.get(node.output.id);
    if (joined === node) return; // its sum computes it
    const name = joined === undefined ? this.lower(node) : this.sum(node, joined);
    this.names.set(node.output.id, name);
    const { dtype, shape } = node.output;
    if (node.op.kind !== "weight" && node.op.kind !== "constant") this.declare(name, shape, DATA_TYPE[dtype]);
  }

  declare(name: string, shape: Shape, type: number): string {
    this.declared.set(name, valueInfo(name, shape, type));
    return name;
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

  /** Emits the ONNX nodes of one node; returns the name of their result. */
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
        // A shape of zeros, which copy x's own axes: known when the other value is, and a Reshape moves nothing.
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
        // max - log(softmax at the maximum): ReduceLogSumExp takes three times as long, and the backward has the softmax anyway.
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

  /** A norm, with its inverse scale as a further output where the graph asks for that. @param between outputs before it */
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

  private float(value: number): string {
    return this.held([], DATA_TYPE.float32, new Uint8Array(Float32Array.of(value).buffer));
  }

  private sliced(name: string, axis: number, start: number, end: number): string {
    return this.emit("Slice", [name, this.ints([start]), this.ints([end]), this.ints([axis])]);
  }
}

function inverseKey(kind: "inverseRms" | "inverseStd", { id }: Value, eps: number): string {
  return `${kind} ${id} ${eps}`;
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

function valueInfo(name: string, shape: Shape, elem_type: number): ValueInfoMessage {
  const dim = shape.map((d) => (typeof d === "number" ? { dim_value: d } : { dim_param: d }));
  return { name, type: { tensor_type: { elem_type, shape: { dim } } } };
}

function productAttributes({ transA, transB, scale }: Extract<Op, { kind: "matmul" }>): AttributeMessage[] {
  return [
    intAttribute("transA", Number(transA)),
    intAttribute("transB", Number(transB)),
    floatAttribute("alpha", scale),
  ];
}
