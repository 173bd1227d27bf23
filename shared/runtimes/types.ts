/**
 * The interface of runtimes. A runtime compiles a graph once and runs it many times, off the event loop. It knows nothing of language
 * models or federated learning.
 */
import type { Graph } from "../graph/graph.js";

export const RUNTIME_KINDS = ["auto", "onnx", "tfjs"] as const;
export type RuntimeKind = (typeof RUNTIME_KINDS)[number];

/** `gpu` is any kind of GPU that works; `auto` is the best device of a runtime. */
export const DEVICES = ["auto", "cpu", "gpu", "cuda", "webgpu", "coreml", "directml", "wasm"] as const;
export type Device = (typeof DEVICES)[number];

/** A user's choice of a runtime. */
export interface RuntimeChoice {
  readonly kind: RuntimeKind;
  readonly device: Device;
  /** Threads of a matrix product; auto: one per processor. */
  readonly threads: number | "auto";
  /** Bytes that the process may take. @default no limit */
  readonly memory?: number;
}

export const DEFAULT_RUNTIME: RuntimeChoice = { kind: "auto", device: "auto", threads: "auto" };

export type FeedData = Float32Array | Int32Array;

/** A tensor on the caller's side. Integers are int32; a runtime converts where its format needs another width. */
export interface HostTensor {
  readonly shape: readonly number[];
  readonly data: FeedData;
}

/** A tensor in the runtime's memory (worker or device) until it is freed. */
export interface ResidentTensor {
  readonly id: number;
  readonly shape: readonly number[];
}

export type Feed = HostTensor | ResidentTensor;

export interface RunOptions {
  /** Outputs to leave with the runtime instead of copying them back. */
  readonly keep?: readonly string[];
  /** Outputs to compute and copy back. @default all outputs that are not kept */
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
   * Runs the graph. Runs of one runtime are queued.
   * @throws {KindredError} `shape_mismatch` where a feed is missing or does not fit the graph's inputs
   */
  run(feeds: Readonly<Record<string, Feed>>, options?: RunOptions): Promise<RunResult>;
  release(): Promise<void>;
}

export interface Runtime {
  readonly name: string;
  compile(graph: Graph): Promise<Executable>;
  /** Copies a tensor to the runtime's memory. */
  upload(tensor: HostTensor): Promise<ResidentTensor>;
  download(tensor: ResidentTensor): Promise<HostTensor>;
  free(...tensors: readonly ResidentTensor[]): void;
  close(): Promise<void>;
}
