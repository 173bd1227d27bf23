/**
 * One interface for whatever executes a graph. A runtime compiles a graph once and runs it many times, off the event loop.
 * It knows nothing of language models or federated learning.
 */
import type { Graph } from "../graph/graph.js";

export const RUNTIME_KINDS = ["auto", "onnx", "tfjs"] as const;
export type RuntimeKind = (typeof RUNTIME_KINDS)[number];

/** `gpu` is whichever kind of GPU works; a runtime's own `auto` is the best of what it has. */
export const DEVICES = ["auto", "cpu", "gpu", "cuda", "webgpu", "coreml", "directml", "wasm"] as const;
export type Device = (typeof DEVICES)[number];

/** A runtime as users choose it. */
export interface RuntimeChoice {
  readonly kind: RuntimeKind;
  readonly device: Device;
  /** Threads of a matrix product; auto: one a processor. */
  readonly threads: number | "auto";
  /** Bytes that the process may take; no limit unless given. */
  readonly memory?: number;
}

export const DEFAULT_RUNTIME: RuntimeChoice = { kind: "auto", device: "auto", threads: "auto" };

export type FeedData = Float32Array | Int32Array;

/** A tensor on the caller's side. Integers are int32; a runtime converts where its format needs another width. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: FeedData;
}

/** A tensor that stays where the runtime keeps it (worker or device) until released. */
export interface ResidentTensor {
  readonly id: number;
  readonly shape: readonly number[];
}

export type Feed = HostTensor | ResidentTensor;

export interface RunOptions {
  /** Outputs to leave with the runtime instead of copying them back. */
  readonly keep?: readonly string[];
  /** Outputs to compute; all of the graph's outputs unless given. */
  readonly fetch?: readonly string[];
}

export interface RunResult {
  /** Outputs copied back, by name. */
  readonly tensors: Readonly<Record<string, HostTensor>>;
  /** Outputs kept, by name. */
  readonly resident: Readonly<Record<string, ResidentTensor>>;
}

export interface Executable {
  readonly graph: Graph;
  /**
   * Runs the graph. Runs are queued: one at a time a runtime.
   * @throws {KindredError} `shape_mismatch` where a feed is missing or does not fit the graph's inputs
   */
  run(feeds: Readonly<Record<string, Feed>>, options?: RunOptions): Promise<RunResult>;
  release(): Promise<void>;
}

export interface Runtime {
  readonly name: string;
  compile(graph: Graph): Promise<Executable>;
  /** Puts a tensor where the runtime keeps it. */
  upload(tensor: HostTensor): Promise<ResidentTensor>;
  download(tensor: ResidentTensor): Promise<HostTensor>;
  free(...tensors: readonly ResidentTensor[]): void;
  close(): Promise<void>;
}
