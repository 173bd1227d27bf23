/**
 * Lists the runtimes, tests which of them work on this machine, and opens one. A runtime works if it computes a product: no other test
 * finds all missing libraries, drivers and devices.
 */
import { asKindredError, KindredError } from "../base/errors.js";
import { GraphBuilder } from "../graph/graph.js";
import { hasCudaProvider } from "./install/installed.js";
import { OnnxRuntime } from "./onnx/runtime.js";
import { TFJS_BACKENDS, TFJS_PACKAGES, type TfjsBackend } from "./tfjs/backends.js";
import { TfjsRuntime } from "./tfjs/runtime.js";
import type { Device, Runtime, RuntimeChoice, RuntimeKind } from "./types.js";

export interface OpenOptions {
  readonly threads?: number;
  /** Whether to use as little memory as possible, where a runtime supports it. */
  readonly lowMemory?: boolean;
}

/** A runtime with a device, which may or may not work on this machine. */
export interface Candidate {
  readonly runtime: Exclude<RuntimeKind, "auto">;
  readonly device: Exclude<Device, "auto">;
  /** The name of the opened runtime. */
  readonly name: string;
  /** The npm package that it needs. */
  readonly via: string;
  /**
   * Opens the runtime and tests it with a product.
   * @throws {KindredError} `unsupported` with the reason, where it does not work on this machine
   */
  open(options?: OpenOptions): Promise<Runtime>;
}

export interface ListedRuntime extends Candidate {
  readonly available: boolean;
  /** The reason where it is not available. */
  readonly why?: string;
}

/** ONNX Runtime's names of devices, and the systems whose library supports them. */
const PROVIDERS: readonly { device: Candidate["device"]; provider: string; where: (platform: string) => boolean }[] = [
  { device: "cuda", provider: "cuda", where: (platform) => platform === "linux-x64" },
  { device: "coreml", provider: "coreml", where: (platform) => platform.startsWith("darwin-") },
  { device: "directml", provider: "dml", where: (platform) => platform.startsWith("win32-") },
  { device: "webgpu", provider: "webgpu", where: () => true },
  { device: "cpu", provider: "cpu", where: () => true },
];

const TFJS_DEVICES: Readonly<Record<TfjsBackend, Candidate["device"]>> = {
  "node-gpu": "gpu",
  node: "cpu",
  wasm: "wasm",
  cpu: "cpu",
};

const GPUS: readonly Device[] = ["gpu", "cuda", "coreml", "directml", "webgpu"];

/** All candidates; for each runtime, the best device first. */
export const CANDIDATES: readonly Candidate[] = [
  ...PROVIDERS.map(({ device, provider, where }): Candidate => {
    const via = "onnxruntime-node";
    const open = async (options: OpenOptions = {}): Promise<Runtime> => {
      if (!where(`${process.platform}-${process.arch}`)) {
        throw new KindredError("unsupported", `${via} has no ${device} on ${process.platform}-${process.arch}`);
      }
      if (device === "cuda") requireCudaProvider();
      return tested(new OnnxRuntime({ provider, ...options }));
    };
    return { runtime: "onnx", device, name: `onnx-${provider}`, via, open };
  }),
  ...TFJS_BACKENDS.map((backend): Candidate => {
    const open = ({ threads }: OpenOptions = {}): Promise<Runtime> =>
      tested(new TfjsRuntime({ backend, ...(threads === undefined ? {} : { threads }) }));
    return {
      runtime: "tfjs",
      device: TFJS_DEVICES[backend],
      name: `tfjs-${backend}`,
      via: TFJS_PACKAGES[backend],
      open,
    };
  }),
];

/** Tests all candidates, one after another. Takes a second or two. */
export async function listRuntimes(): Promise<ListedRuntime[]> {
  const listed: ListedRuntime[] = [];
  for (const candidate of CANDIDATES) {
    try {
      await (await candidate.open()).close();
      listed.push({ ...candidate, available: true });
    } catch (error) {
      listed.push({ ...candidate, available: false, why: asKindredError(error).message });
    }
  }
  return listed;
}

/**
 * Opens the first working candidate of a choice.
 * @throws {KindredError} `unsupported` with each candidate and the reason why it does not work on this machine
 */
export async function openRuntime({ kind, device, threads, memory }: RuntimeChoice): Promise<Runtime> {
  const fitting = CANDIDATES.filter((candidate) => fits(candidate, kind, device));
  const asked = `runtime ${kind}, device ${device}`;
  if (fitting.length === 0) {
    const devices = [...new Set(CANDIDATES.filter(({ runtime }) => runtime === kind).map((each) => each.device))];
    throw new KindredError("unsupported", `${asked}: ${kind} has ${devices.join(", ")}; choose one of them, or auto`);
  }
  const reasons: string[] = [];
  for (const candidate of fitting) {
    try {
      return await candidate.open({ ...(threads === "auto" ? {} : { threads }), lowMemory: memory !== undefined });
    } catch (error) {
      reasons.push(`${candidate.name}: ${asKindredError(error).message.replace(`${candidate.name}: `, "")}`);
    }
  }
  throw new KindredError(
    "unsupported",
    `${asked}: does not work on this machine; choose another, or auto (${reasons.join("; ")})`,
    { kind, device },
  );
}

function fits({ runtime, device }: Candidate, kind: RuntimeKind, asked: Device): boolean {
  if (kind !== "auto" && runtime !== kind) return false;
  if (asked === "gpu") return GPUS.includes(device);
  if (asked !== "auto") return device === asked;
  // The default is ONNX Runtime, on the processor unless CUDA's library is installed. WebGPU was never tested on real hardware and
  // lacks operations, so it must be asked for by name.
  return runtime === "tfjs" ? kind === "tfjs" : device === "cpu" || device === "cuda";
}

/** Checked before ONNX Runtime is asked, which writes to stderr where this library is missing. */
function requireCudaProvider(): void {
  if (!hasCudaProvider()) {
    throw new KindredError(
      "unsupported",
      "ONNX Runtime's library for CUDA is not installed (kindred runtime add cuda)",
    );
  }
}

/** The runtime, after it has computed a small product. */
async function tested(runtime: Runtime): Promise<Runtime> {
  try {
    const g = new GraphBuilder();
    const x = g.input("x", [2, 2]);
    const program = await runtime.compile(g.build({ y: g.matmul(x, x) }));
    const { tensors } = await program.run({ x: { shape: [2, 2], data: Float32Array.of(1, 2, 3, 4) } });
    await program.release();
    const product = tensors.y!.data.join(" ");
    if (product !== "7 10 15 22") throw new KindredError("unsupported", `computes a product wrongly (${product})`);
    return runtime;
  } catch (error) {
    await runtime.close();
    // Of an assertion of ONNX Runtime, the text after its location in the source.
    const message = asKindredError(error)
      .message.replace(/\/onnxruntime_src\/.* was false\. /s, "")
      .trim();
    throw new KindredError("unsupported", message, {}, error);
  }
}
