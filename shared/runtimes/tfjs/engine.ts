/**
 * Executes a graph node by node with TensorFlow.js. Every tensor is disposed after its last use, so memory peaks where the graph's
 * values do. Frozen weights are read once for all graphs and stay in memory.
 */
import { closeSync, fstatSync, openSync, readSync } from "node:fs";
import type { Tensor } from "@tensorflow/tfjs-core";
import { KindredError } from "../../base/errors.js";
import { sizeOf } from "../../base/tensors.js";
import { bindFeeds } from "../../graph/cost.js";
import { resolve } from "../../graph/dims.js";
import type { Graph, Node, Op, Value, WeightSource } from "../../graph/graph.js";
import { packedBytes } from "../../quantization/layout.js";
import { unpack } from "../../quantization/pack.js";
import type { Engine } from "../serve.js";
import type { FeedData, HostTensor } from "../types.js";
import type { Tensorflow } from "./backends.js";
import { type Computed, Lowering } from "./lower.js";

type Weight = Extract<Op, { kind: "weight" }>;
type Product = Extract<Op, { kind: "matmul" }>;

/** The steps of a run that computes some of a graph's outputs, in order. */
interface Schedule {
  readonly steps: readonly Step[];
  /** Number of uses of a value by steps and outputs, by its id. */
  readonly uses: ReadonlyMap<number, number>;
}

interface Step {
  readonly op: Computed;
  readonly inputs: readonly number[];
  readonly output: Value;
}

export interface TfjsProgram {
  readonly graph: Graph;
  /** Weights and constants by the value's id; a transposed weight has an id of its own, below zero. */
  readonly fixed: ReadonlyMap<number, Tensor>;
  readonly weights: readonly string[];
  readonly steps: readonly Step[];
  readonly schedules: Map<string, Schedule>;
}

const transposedId = (id: number): number => -1 - id;

export class TfjsEngine implements Engine<Graph, TfjsProgram, Tensor> {
  private readonly lowering: Lowering;
  /** Weights in memory, with the number of compiled graphs that use them. */
  private readonly weights = new Map<string, { readonly tensor: Tensor; users: number }>();

  constructor(private readonly tf: Tensorflow) {
    this.lowering = new Lowering(tf);
  }

  async compile(graph: Graph): Promise<TfjsProgram> {
    const fixed = new Map<number, Tensor>();
    const held: string[] = [];
    const sources = new Map<number, Node>();
    const steps: Step[] = [];
    const hold = (id: number, transposed: boolean): number => {
      const key = transposed ? transposedId(id) : id;
      const { op, output } = sources.get(id) as Node & { op: Weight };
      if (!fixed.has(key)) fixed.set(key, this.hold(op.source, output.shape as number[], transposed, held));
      return key;
    };
    try {
      for (const node of graph.nodes) {
        const { op, output } = node;
        if (op.kind === "input") continue;
        if (op.kind === "weight") sources.set(output.id, node);
        else if (op.kind === "constant")
          fixed.set(output.id, this.tensor({ shape: output.shape as number[], data: op.data }));
        else steps.push(this.step(op, node, (id, transposed) => (sources.has(id) ? hold(id, transposed) : id)));
      }
      for (const { id } of Object.values(graph.outputs)) if (sources.has(id)) hold(id, false);
    } catch (error) {
      this.releaseTensors(fixed, held);
      throw error;
    }
    return { graph, fixed, weights: held, steps, schedules: new Map() };
  }

  /** A product with a transposed weight uses a transposed copy, where the backend transposes slowly. */
  private step(op: Computed, { inputs, output }: Node, hold: (id: number, transposed: boolean) => number): Step {
    const ids = inputs.map(({ id }) => id);
    if (op.kind !== "matmul" || !this.lowering.transposesFirst) {
      return { op, inputs: ids.map((id) => hold(id, false)), output };
    }
    const [a, b] = ids as [number, number];
    const [left, right] = [hold(a, op.transA), hold(b, op.transB)];
    const product: Product = { ...op, transA: op.transA && left === a, transB: op.transB && right === b };
    return { op: product, inputs: [left, right], output };
  }

  private hold(source: WeightSource, shape: readonly number[], transposed: boolean, held: string[]): Tensor {
    const key = JSON.stringify([source.path, source.offset, shape, transposed]);
    let weight = this.weights.get(key);
    if (weight === undefined) {
      const { tf } = this;
      const tensor = tf.tidy(() => {
        const plain = tf.tensor(readWeight(source, shape), [...shape]);
        return transposed ? this.lowering.swapped(plain) : plain;
      });
      weight = { tensor, users: 0 };
      this.weights.set(key, weight);
    }
    weight.users++;
    held.push(key);
    return weight.tensor;
  }

  async release({ fixed, weights }: TfjsProgram): Promise<void> {
    this.releaseTensors(fixed, weights);
  }

  private releaseTensors(fixed: ReadonlyMap<number, Tensor>, held: readonly string[]): void {
    const shared = new Set<Tensor>();
    for (const key of held) {
      const weight = this.weights.get(key)!;
      shared.add(weight.tensor);
      if (--weight.users > 0) continue;
      this.weights.delete(key);
      weight.tensor.dispose();
    }
    for (const tensor of fixed.values()) if (!shared.has(tensor)) tensor.dispose();
  }

  async run(
    program: TfjsProgram,
    feeds: Readonly<Record<string, Tensor>>,
    outputs: readonly string[],
  ): Promise<Readonly<Record<string, Tensor>>> {
    const { graph, fixed } = program;
    const shapes = Object.fromEntries(Object.entries(feeds).map(([name, { shape }]) => [name, shape]));
    const bindings = bindFeeds(graph, shapes);
    const { steps, uses } = this.schedule(program, outputs);
    const given = new Map<number, Tensor>(fixed);
    for (const [name, { id }] of Object.entries(graph.inputs)) given.set(id, feeds[name] as Tensor);
    const made = new Map<number, Tensor>();
    const left = new Map(uses);
    const at = (id: number): Tensor => (made.get(id) ?? given.get(id)) as Tensor;
    const used = (id: number): void => {
      const count = left.get(id)! - 1;
      left.set(id, count);
      if (count > 0) return;
      made.get(id)?.dispose();
      made.delete(id);
    };
    const results: Record<string, Tensor> = {};
    try {
      for (const { op, inputs, output } of steps) {
        const shape = output.shape.map((dim) => resolve(dim, bindings));
        made.set(output.id, this.lowering.apply(op, inputs.map(at), shape));
        inputs.forEach(used);
      }
      for (const name of outputs) {
        const { id } = graph.outputs[name] as Value;
        // A new tensor over the same memory: one value may be several outputs, or a feed too.
        results[name] = this.tf.clone(at(id));
        used(id);
      }
      return results;
    } catch (error) {
      for (const tensor of [...made.values(), ...Object.values(results)]) tensor.dispose();
      throw error;
    }
  }

  /** The steps that the outputs need. */
  private schedule({ graph, steps, schedules }: TfjsProgram, outputs: readonly string[]): Schedule {
    const key = outputs.join("\n");
    const there = schedules.get(key);
    if (there !== undefined) return there;
    const uses = new Map<number, number>();
    const use = (id: number): void => void uses.set(id, (uses.get(id) ?? 0) + 1);
    for (const name of outputs) use((graph.outputs[name] as Value).id);
    const needed: Step[] = [];
    for (const step of steps.toReversed()) {
      if (!uses.has(step.output.id)) continue;
      needed.push(step);
      step.inputs.forEach(use);
    }
    const schedule = { steps: needed.reverse(), uses };
    schedules.set(key, schedule);
    return schedule;
  }

  tensor({ shape, data }: HostTensor): Tensor {
    return this.tf.tensor(data, [...shape], data instanceof Int32Array ? "int32" : "float32");
  }

  shape({ shape }: Tensor): readonly number[] {
    return shape;
  }

  async read(tensor: Tensor): Promise<HostTensor> {
    return { shape: tensor.shape, data: (await tensor.data()) as FeedData };
  }

  dispose(tensor: Tensor): void {
    tensor.dispose();
  }
}

/** A weight's values; packed weights are dequantised. @throws {KindredError} `invalid_model` where the file ends too early */
function readWeight({ path, offset, form }: WeightSource, shape: readonly number[]): Float32Array {
  if (form === undefined) return new Float32Array(readBytes(path, offset, 4 * sizeOf(shape)).buffer);
  return unpack(form, readBytes(path, offset, packedBytes(form, shape)), shape);
}

/** @throws {KindredError} `invalid_model` where the file ends too early */
function readBytes(path: string, offset: number, byteLength: number): Uint8Array<ArrayBuffer> {
  const file = openSync(path, "r");
  try {
    if (offset + byteLength > fstatSync(file).size) {
      throw new KindredError("invalid_model", `${path}: ends before the weight of ${byteLength} bytes at ${offset}`, {
        file: path,
      });
    }
    const bytes = new Uint8Array(byteLength);
    // One read returns at most 2 GiB.
    for (let at = 0; at < byteLength; ) {
      const got = readSync(file, bytes, at, byteLength - at, offset + at);
      if (got === 0)
        throw new KindredError("invalid_model", `${path}: was truncated while it was read`, { file: path });
      at += got;
    }
    return bytes;
  } finally {
    closeSync(file);
  }
}
