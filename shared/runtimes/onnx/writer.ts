/**
 * The parts of an ONNX model while it is written: nodes, initializers, declared shapes. Equal nodes and equal tensors are written
 * once. It knows ONNX and shapes, not the graph's operations (encode.ts).
 */
import { dirname, relative, sep } from "node:path";
import { type Dim, factors, type Shape } from "../../graph/dims.js";
import type { Graph, WeightSource } from "../../graph/graph.js";
import type { Part } from "../../quantization/layout.js";
import { fillAttribute, intAttribute } from "./attributes.js";
import type { Emitter } from "./packed.js";
import {
  type AttributeMessage,
  DATA_TYPE,
  EXTERNAL,
  type NodeMessage,
  type TensorMessage,
  type ValueInfoMessage,
} from "./schema.js";

export class ModelWriter implements Emitter {
  protected readonly nodes: NodeMessage[] = [];
  protected readonly initializers: TensorMessage[] = [];
  /** Declared shapes of nodes' outputs. */
  protected readonly declared = new Map<string, ValueInfoMessage>();
  private readonly symbols = new Map<string, string>();
  /** Names of emitted outputs, by operation, inputs and attributes. */
  private readonly emitted = new Map<string, string>();
  /** Names of initializers, by location or content. */
  private readonly stored = new Map<string, string>();
  protected readonly folder: string | undefined;
  private count = 0;

  constructor(protected readonly graph: Graph) {
    this.folder = commonFolder(graph);
  }

  protected fresh(): string {
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

  /** An initializer; equal ones are written once. */
  private once(key: string, tensor: Omit<TensorMessage, "name">): string {
    let name = this.stored.get(key);
    if (name === undefined) {
      name = this.fresh();
      this.initializers.push({ name, ...tensor });
      this.stored.set(key, name);
    }
    return name;
  }

  /** A constant int64 vector. */
  ints(values: readonly number[]): string {
    return this.held([values.length], DATA_TYPE.int64, new Uint8Array(new BigInt64Array(values.map(BigInt)).buffer));
  }

  /** An int64 vector of one element: a symbol's value at run time. */
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
  protected shape(shape: Shape): string {
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

  /** The target of a Reshape. 0 copies the input's axis and -1 is the remaining size, so most targets are constants. */
  protected target(from: Shape, to: Shape): string {
    const plan = to.map((dim, axis) => (typeof dim === "number" ? dim : from[axis] === dim ? 0 : -1));
    return plan.filter((dim) => dim === -1).length <= 1 && to.every((dim) => dim !== 0)
      ? this.ints(plan)
      : this.shape(to);
  }

  protected zeros(shape: string): string {
    return this.emit("ConstantOfShape", [shape], [fillAttribute(0)]);
  }

  declare(name: string, shape: Shape, type: number): string {
    this.declared.set(name, valueInfo(name, shape, type));
    return name;
  }

  protected float(value: number): string {
    return this.held([], DATA_TYPE.float32, new Uint8Array(Float32Array.of(value).buffer));
  }
}

/** The deepest folder that holds all files of weights; undefined without weights. */
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

/** The declaration of a value. */
export function valueInfo(name: string, shape: Shape, elem_type: number): ValueInfoMessage {
  const dim = shape.map((d) => (typeof d === "number" ? { dim_value: d } : { dim_param: d }));
  return { name, type: { tensor_type: { elem_type, shape: { dim } } } };
}
