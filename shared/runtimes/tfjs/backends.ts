/**
 * The backends of TensorFlow.js that Kindred can use. All of them are optional and are loaded by name where they are asked for.
 * npm brings `wasm` and `cpu` (65 MB, rarely used). `kindred runtime add tfjs` brings the native ones: their npm packages fetch
 * an old TensorFlow from outside the npm registry.
 */
import { createRequire } from "node:module";
import { KindredError } from "../../base/errors.js";
import { installedTfjs, tfjsInstallCommand } from "../install/installed.js";
import { restoreUtil } from "../install/shims.js";

/** The operations; every backend computes the same. */
export type Tensorflow = typeof import("@tensorflow/tfjs-core");

/** Best first. */
export const TFJS_BACKENDS = ["node-gpu", "node", "wasm", "cpu"] as const;
export type TfjsBackend = (typeof TFJS_BACKENDS)[number];

export const TFJS_PACKAGES: Readonly<Record<TfjsBackend, string>> = {
  "node-gpu": "@tensorflow/tfjs-node-gpu",
  node: "@tensorflow/tfjs-node",
  wasm: "@tensorflow/tfjs-backend-wasm",
  cpu: "@tensorflow/tfjs-backend-cpu",
};

/**
 * WebAssembly has addresses for 4 GiB, and beyond them its allocations come back at address 0: the backend would go on and
 * compute with whatever lies there. What is left free is for the copies of weights that its products make inside.
 */
const WASM_BYTES = 3.5 * 2 ** 30;

/** Whether TensorFlow itself computes. */
export const isNative = (backend: TfjsBackend): boolean => backend === "node" || backend === "node-gpu";

/** Loads a backend and makes it the one in use. @throws {KindredError} `unsupported` where it cannot run here, with the reason */
export async function loadBackend(backend: TfjsBackend): Promise<Tensorflow> {
  const native = isNative(backend);
  if (native) restoreUtil();
  const loaded = await load(backend);
  // A native package holds the operations too, in the copy that it has registered itself with. The others have loaded the core.
  const tf = native ? (loaded as Tensorflow) : await import("@tensorflow/tfjs-core");
  tf.enableProdMode(); // no warnings on the console
  if (!(await tf.setBackend(native ? "tensorflow" : backend))) {
    throw new KindredError("unsupported", `${TFJS_PACKAGES[backend]} does not start on this machine`, { backend });
  }
  if (backend === "node-gpu" && !(tf.backend() as unknown as { isUsingGpuDevice?: boolean }).isUsingGpuDevice) {
    throw new KindredError("unsupported", `${TFJS_PACKAGES[backend]} is installed, but TensorFlow sees no GPU`, {
      backend,
    });
  }
  if (backend === "wasm") boundMemory(tf, WASM_BYTES);
  return tf;
}

/** Makes a wasm backend throw `too_large` where a tensor would take its memory beyond a bound. */
export function boundMemory(tf: Tensorflow, bytes: number): void {
  const { wasm } = tf.backend() as unknown as {
    wasm: { HEAPU8: Uint8Array; _malloc: (bytes: number) => number };
  };
  const allocate = wasm._malloc;
  wasm._malloc = (size) => {
    const at = allocate(size);
    if ((at === 0 && size > 0) || wasm.HEAPU8.length > bytes) {
      throw new KindredError(
        "too_large",
        `the graph needs more than the ${(bytes / 2 ** 30).toFixed(1)} GiB that TensorFlow.js can hold in WebAssembly; take smaller batches, or another runtime`,
      );
    }
    return at;
  };
}

async function load(backend: TfjsBackend): Promise<unknown> {
  const name = TFJS_PACKAGES[backend];
  try {
    const added = installedTfjs();
    return added?.endsWith(`/${name}`) ? createRequire(import.meta.url)(added) : await import(name);
  } catch (cause) {
    throw notLoaded(backend, cause as NodeJS.ErrnoException);
  }
}

/** Why a backend's package could not be loaded, with the command that brings it where it is not there. */
function notLoaded(backend: TfjsBackend, cause: NodeJS.ErrnoException): KindredError {
  const name = TFJS_PACKAGES[backend];
  // Of the second code: a package that is there requires one that is not, as the backends do with tfjs-core.
  const missing = cause.code === "ERR_MODULE_NOT_FOUND" || cause.code === "MODULE_NOT_FOUND";
  const command = isNative(backend)
    ? `on Linux: kindred runtime add tfjs${backend === "node-gpu" ? " --gpu" : ""}`
    : tfjsInstallCommand(name);
  const why = missing
    ? `${name} is not installed (${command})`
    : `${name} is installed but cannot be loaded: ${cause.message.split("\n")[0]}`;
  return new KindredError("unsupported", why, { backend }, cause);
}
