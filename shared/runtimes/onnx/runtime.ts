/** Runs graphs on ONNX Runtime in a worker thread. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { sizeOf } from "../../base/tensors.js";
import type { Graph } from "../../graph/graph.js";
import { packedBytes } from "../../quantization/layout.js";
import { ThreadRuntime } from "../thread.js";
import { type EncodedGraph, encodeOnnx } from "./encode.js";
import { disableTelemetry } from "./library.js";
import type { SessionPlan } from "./sessions.js";

export interface OnnxOptions {
  /** An execution provider of ONNX Runtime. @default "cpu" */
  provider?: string;
  /** Threads of a matrix product. @default the number of processors */
  threads?: number;
  /**
   * Largest size of a graph's weights that ONNX Runtime repacks. Forward and backward of 135 M parameters then take 13 % less time
   * and 620 MB more memory, because every session has its own copies; above the limit, all sessions share one memory map. The limit
   * does not depend on the machine's memory: repacked products round differently, and the same seed must give the same result.
   * @default 1 GiB
   */
  prepackBytes?: number;
  /**
   * Whether to use as little memory as possible: weights are never repacked, and only the two last used sessions with weights stay
   * open. @default false
   */
  lowMemory?: boolean;
  /**
   * Microseconds that an idle thread spins before it sleeps. A short spin bridges the gap between two operations (7 % of a training
   * step on two idle cores). ONNX Runtime's default of a millisecond takes processor time from other programs, and from the work
   * itself where processors are shared (`simulations/LOG.md`). 0: no spinning. @default 20
   */
  spin?: number;
}

/** Everything that the thread needs to create a session. */
export interface OnnxPlan extends EncodedGraph, SessionPlan {
  readonly provider: string;
  readonly threads: number;
  readonly prepack: boolean;
  readonly lowMemory: boolean;
  readonly spin: number;
  /** Whether the graph has packed weights. */
  readonly packed: boolean;
}

export class OnnxRuntime extends ThreadRuntime<OnnxPlan> {
  constructor({
    provider = "cpu",
    threads = availableParallelism(),
    prepackBytes = 2 ** 30,
    lowMemory = false,
    spin = 20,
  }: OnnxOptions = {}) {
    // In this thread, which may be the main one: the worker thread cannot, and refuses to load the library without it.
    disableTelemetry();
    super(`onnx-${provider}`, new Worker(new URL("./worker.js", import.meta.url)), (graph) => {
      const bytes = weightBytes(graph);
      const encoded = encodeOnnx(graph, { inverseOfNorm: provider === "cpu" });
      const prepack = bytes <= prepackBytes && !lowMemory;
      const packed = holdsPacked(graph);
      return { ...encoded, provider, threads, spin, prepack, lowMemory, packed, weightBytes: bytes };
    });
  }
}

/** Bytes of a graph's frozen weights. */
function weightBytes({ nodes }: Graph): number {
  let sum = 0;
  for (const { op, output } of nodes) {
    if (op.kind !== "weight") continue;
    const shape = output.shape as number[];
    sum += op.source.form === undefined ? 4 * sizeOf(shape) : packedBytes(op.source.form, shape);
  }
  return sum;
}

function holdsPacked({ nodes }: Graph): boolean {
  return nodes.some(({ op }) => op.kind === "weight" && op.source.form !== undefined);
}
