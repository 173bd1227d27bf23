/**
 * The backends of TensorFlow.js that Kindred supports. All are optional and are loaded by name at first use. npm installs `wasm` and
 * `cpu` (65 MB, rarely used). `kindred runtime add tfjs` installs the native backends, because their npm packages fetch an old
 * TensorFlow from outside the npm registry.
 */
import { createRequire } from "node:module";
import { KindredError } from "../../base/errors.js";
import { installedTfjs, tfjsInstallCommand } from "../install/installed.js";
import { restoreUtil } from "../install/shims.js";

/** The operations, which are the same for all backends. */
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
 * Bound on the memory of the wasm backend. WebAssembly has addresses for 4 GiB; beyond them, allocations return address 0, and the
 * backend would compute with the data at that address. The difference is for copies of weights inside its products.
 */
const WASM_BYTES = 3.5 * 2 ** 30;

/** Whether the native TensorFlow computes. */
export const isNative = (backend: TfjsBackend): boolean => backend === "node" || backend === "node-gpu";

/** Loads and activates a backend. @throws {KindredError} `unsupported` with the reason, where it cannot run on this machine */
export async function loadBackend(backend: TfjsBackend): Promise<Tensorflow> {
  const native = isNative(backend);
  if (native) restoreUtil();
  const loaded = await load(backend);
  // A native package registers itself with its own copy of the core; the other packages use the common core.
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

/** Makes a wasm backend throw `too_large` for a tensor that would exceed a bound on its memory. */
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
        `the graph needs more than the ${(bytes / 2 ** 30).toFixed(1)} GiB that TensorFlow.js can hold in WebAssembly; choose smaller batches, or another runtime`,
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

/** The reason why a backend's package was not loaded, with the command that installs it where it is missing. */
function notLoaded(backend: TfjsBackend, cause: NodeJS.ErrnoException): KindredError {
  const name = TFJS_PACKAGES[backend];
  // The second code: an installed package requires one that is missing, as the backends do with tfjs-core.
  const missing = cause.code === "ERR_MODULE_NOT_FOUND" || cause.code === "MODULE_NOT_FOUND";
  const command = isNative(backend)
    ? `on Linux: kindred runtime add tfjs${backend === "node-gpu" ? " --gpu" : ""}`
    : tfjsInstallCommand(name);
  const why = missing
    ? `${name} is not installed (${command})`
    : `${name} is installed but cannot be loaded: ${cause.message.split("\n")[0]}`;
  return new KindredError("unsupported", why, { backend }, cause);
}
