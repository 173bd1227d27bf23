/**
 * Which runtimes there are, which of them work on this machine, and opening one. A runtime works where it has just computed a
 * product: libraries that are missing, drivers and devices that are not there show themselves in no other way that is sure.
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
  /** As little memory as can be, where a runtime can choose. */
  readonly lean?: boolean;
}

/** A way to compute, whether it works here or not. */
export interface Candidate {
  readonly runtime: Exclude<RuntimeKind, "auto">;
  readonly device: Exclude<Device, "auto">;
  /** The runtime's name once it is open. */
  readonly name: string;
  /** The npm package that brings it. */
  readonly via: string;
  /**
   * Opens it and has it compute a product.
   * @throws {KindredError} `unsupported` where it does not work here, saying why
   */
  open(options?: OpenOptions): Promise<Runtime>;
}

export interface ListedRuntime extends Candidate {
  readonly available: boolean;
  /** Why it is not. */
  readonly why?: string;
}

/** ONNX Runtime's name of a device, where the library of this system has it. */
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

/** Every way to compute, best first of each runtime. */
export const CANDIDATES: readonly Candidate[] = [
  ...PROVIDERS.map(({ device, provider, where }): Candidate => {
    const via = "onnxruntime-node";
    const open = async (options: OpenOptions = {}): Promise<Runtime> => {
      if (!where(`${process.platform}-${process.arch}`)) {
        throw new KindredError("unsupported", `${via} has no ${device} on ${process.platform}-${process.arch}`);
      }
      if (device === "cuda") requireCudaProvider();
      return proven(new OnnxRuntime({ provider, ...options }));
    };
    return { runtime: "onnx", device, name: `onnx-${provider}`, via, open };
  }),
  ...TFJS_BACKENDS.map((backend): Candidate => {
    const open = ({ threads }: OpenOptions = {}): Promise<Runtime> =>
      proven(new TfjsRuntime({ backend, ...(threads === undefined ? {} : { threads }) }));
    return {
      runtime: "tfjs",
      device: TFJS_DEVICES[backend],
      name: `tfjs-${backend}`,
      via: TFJS_PACKAGES[backend],
      open,
    };
  }),
];

/** Tries every way to compute, one after the other: a second or two. */
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
 * Opens the runtime that was asked for; of several that fit, the first that works.
 * @throws {KindredError} `unsupported` naming each that fits and why it does not work here
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
      return await candidate.open({ ...(threads === "auto" ? {} : { threads }), lean: memory !== undefined });
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
  // Without a word ONNX Runtime computes, on the processor unless someone has installed CUDA's library. WebGPU has not been
  // seen on real hardware, nor has it all operations, and is taken only where it is named.
  return runtime === "tfjs" ? kind === "tfjs" : device === "cpu" || device === "cuda";
}

/** ONNX Runtime writes lines of its own to stderr where this library is missing. */
function requireCudaProvider(): void {
  if (!hasCudaProvider()) {
    throw new KindredError(
      "unsupported",
      "ONNX Runtime's library for CUDA is not installed (kindred runtime add cuda)",
    );
  }
}

/** The runtime, once it has computed a small product. */
async function proven(runtime: Runtime): Promise<Runtime> {
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
    // Of an assertion of ONNX Runtime, what it says after its place in the source.
    const message = asKindredError(error)
      .message.replace(/\/onnxruntime_src\/.* was false\. /s, "")
      .trim();
    throw new KindredError("unsupported", message, {}, error);
  }
}
