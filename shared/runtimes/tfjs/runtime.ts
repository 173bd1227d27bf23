/** Runs graphs with TensorFlow.js in a worker thread. */
import { Worker } from "node:worker_threads";
import type { Graph } from "../../graph/graph.js";
import { ThreadRuntime } from "../thread.js";
import { isNative, type TfjsBackend } from "./backends.js";

export interface TfjsOptions {
  readonly backend: TfjsBackend;
  /**
   * Threads of a matrix product of the native backends; the other backends have one thread. The first native runtime of a process
   * decides for all. @default the number of processors
   */
  readonly threads?: number;
}

export class TfjsRuntime extends ThreadRuntime<Graph> {
  constructor({ backend, threads }: TfjsOptions) {
    if (isNative(backend)) {
      // TensorFlow reads both once, from the environment of the process; a thread has only a copy of it.
      if (threads !== undefined) process.env.TF_NUM_INTRAOP_THREADS ??= String(threads);
      process.env.TF_CPP_MIN_LOG_LEVEL ??= "3"; // otherwise it writes lines about the processor to stderr
    }
    super(
      `tfjs-${backend}`,
      new Worker(new URL("./worker.js", import.meta.url), { workerData: backend }),
      (graph) => graph,
    );
  }
}
