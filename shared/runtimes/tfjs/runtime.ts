/** Runs graphs with TensorFlow.js in a worker thread: the second executor of the same graphs, forward and backward. */
import { Worker } from "node:worker_threads";
import type { Graph } from "../../graph/graph.js";
import { ThreadRuntime } from "../thread.js";
import { isNative, type TfjsBackend } from "./backends.js";

export interface TfjsOptions {
  readonly backend: TfjsBackend;
  /**
   * Threads of a matrix product of the native backends; the others have one.
   * @default the processors at hand. Settled for the process by its first native runtime
   */
  readonly threads?: number;
}

export class TfjsRuntime extends ThreadRuntime<Graph> {
  constructor({ backend, threads }: TfjsOptions) {
    if (isNative(backend)) {
      // TensorFlow reads both once, from the process's own environment, of which a thread has only a copy.
      if (threads !== undefined) process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
      process.env.TF_CPP_MIN_LOG_LEVEL ??= "3"; // else it writes about its processor on stderr
    }
    super(
      `tfjs-${backend}`,
      new Worker(new URL("./worker.js", import.meta.url), { workerData: backend }),
      (graph) => graph,
    );
  }
}
