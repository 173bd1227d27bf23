/** Runs graphs on ONNX Runtime in a worker thread. */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { sizeOf } from "../../base/tensors.js";
import type { Graph } from "../../graph/graph.js";
import { packedBytes } from "../../quantization/layout.js";
import { ThreadRuntime } from "../thread.js";
import { type EncodedGraph, encodeOnnx } from "./encode.js";
import type { SessionPlan } from "./sessions.js";

export interface OnnxOptions {
  /** An execution provider of ONNX Runtime. @default "cpu" */
  provider?: string;
  /** Threads of a matrix product. @default the processors at hand */
  threads?: number;
  /**
   * Let ONNX Runtime repack a graph's weights when they take at most so many bytes. Forward + backward of 135 M parameters
   * then takes 13 % less time and 620 MB more, for every session has its own copies; above the limit all sessions share one
   * memory map. A limit, not the memory at hand: repacked products round differently, and the same seed must give the same
   * result. @default 1 GiB
   */
  prepackBytes?: number;
  /**
   * As little memory as can be: weights are never repacked, and of the sessions with weights the two used last stay open.
   * @default false
   */
  lean?: boolean;
  /**
   * Microseconds that an idle thread spins before it sleeps. A short spin bridges the gap between two operations (7 % of a
   * training step on two idle cores); ONNX Runtime's own default of a millisecond takes, beside other programs on the same
   * processors, the time that the work needs (`simulations/LOG.md`). 0: none. @default 20
   */
  spin?: number;
}

/** What the thread needs to make a session. */
export interface OnnxPlan extends EncodedGraph, SessionPlan {
  readonly provider: string;
  readonly threads: number;
  readonly prepack: boolean;
  readonly lean: boolean;
  readonly spin: number;
  /** The graph holds packed weights. */
  readonly packed: boolean;
}

export class OnnxRuntime extends ThreadRuntime<OnnxPlan> {
  constructor({
    provider = "cpu",
    threads = availableParallelism(),
    prepackBytes = 2 ** 30,
    lean = false,
    spin = 20,
  }: OnnxOptions = {}) {
    super(`onnx-${provider}`, new Worker(new URL("./worker.js", import.meta.url)), (graph) => {
      const bytes = weightBytes(graph);
      const encoded = encodeOnnx(graph, { inverseOfNorm: provider === "cpu" });
      const prepack = bytes <= prepackBytes && !lean;
      const packed = holdsPacked(graph);
      return { ...encoded, provider, threads, spin, prepack, lean, packed, weightBytes: bytes };
    });
  }
}

/** What the frozen weights of a graph take. */
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
