/**
 * What `kindred runtime add` has brought, for those who compute with it. It loads nothing but what node has: every compute thread
 * starts with it.
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import { defaultCache } from "../../base/cache.js";

export const ADDABLE = ["cuda", "tfjs"] as const;
export type Addable = (typeof ADDABLE)[number];

/** The folder of an added runtime, whether it is there or not; it is there only once it is complete. */
export const runtimeFolder = (name: Addable, cache = defaultCache()): string => join(cache, "runtimes", name);

/** The version of all of TensorFlow.js that Kindred is tested with: that of `peerDependencies`. */
export const TFJS_VERSION = "4.22.0";
export const TFJS_PACKAGES = { cpu: "@tensorflow/tfjs-node", gpu: "@tensorflow/tfjs-node-gpu" } as const;
/** The version of Node-API that the binding of tfjs is compiled for, and the binding in its package. */
export const NAPI = 8;
export const BINDING = join("lib", `napi-v${NAPI}`, "tfjs_binding.node");

/** The folder of the added package, @tensorflow/tfjs-node or @tensorflow/tfjs-node-gpu; undefined where none was added. */
export function installedTfjs(): string | undefined {
  const modules = join(runtimeFolder("tfjs"), "node_modules");
  return Object.values(TFJS_PACKAGES)
    .map((name) => join(modules, name))
    .find((folder) => existsSync(join(folder, BINDING)));
}

/** The command that brings one of TensorFlow.js's optional backends, which npm does not bring with Kindred. */
export const tfjsInstallCommand = (backend: string): string =>
  `npm install @tensorflow/tfjs-core@${TFJS_VERSION} ${backend}@${TFJS_VERSION}`;

/** Whether Kindred finds an npm package from where it is itself installed. */
export function isInstalled(name: string): boolean {
  try {
    createRequire(import.meta.url).resolve(`${name}/package.json`);
    return true;
  } catch {
    return false; // it cannot be resolved
  }
}

/** Version of the TensorFlow.js that computes: the added one, or that which npm installed; undefined where there is none. */
export function tfjsVersion(native: boolean): string | undefined {
  const { resolve } = createRequire(import.meta.url);
  const added = native ? installedTfjs() : undefined;
  try {
    const from = added === undefined ? {} : { paths: [added] };
    const { version } = JSON.parse(readFileSync(resolve("@tensorflow/tfjs-core/package.json", from), "utf8")) as {
      version: string;
    };
    return version;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "MODULE_NOT_FOUND") return undefined;
    throw error;
  }
}

/** What ONNX Runtime looks for beside its own library. */
export const PROVIDERS: readonly string[] = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];

export interface OnnxInstallation {
  readonly version: string;
  /** The folder of libonnxruntime.so.1; undefined where the package has none for this machine. */
  readonly libraries: string | undefined;
  /** The addon that node loads; undefined where the package has none for this machine. */
  readonly binding?: string | undefined;
}

/** The onnxruntime-node that Kindred uses. */
export function onnxInstallation(): OnnxInstallation {
  const manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const bin = join(dirname(manifest), "bin");
  const folders = readdirSync(bin).map((api) => join(bin, api, process.platform, process.arch));
  const libraries = folders.find((folder) => existsSync(join(folder, "libonnxruntime.so.1")));
  const binding = folders.map((folder) => join(folder, "onnxruntime_binding.node")).find((file) => existsSync(file));
  return { version, libraries, binding };
}

/** Whether the CUDA provider lies beside ONNX Runtime, whoever put it there. */
export function hasCudaProvider({ libraries }: OnnxInstallation = onnxInstallation()): boolean {
  return libraries !== undefined && PROVIDERS.every((file) => existsSync(join(libraries, file)));
}

/** Of CUDA's libraries those that the provider and cuDNN ask for by name; cuDNN finds its own parts beside itself. */
const ASKED_FOR = /^lib(cudart|cublasLt|cublas|curand|cufft|nvrtc|nvJitLink|cudnn)\.so\.\d+$/;
/** Stays loaded: dlclose does nothing to it (dlfcn.h; node has no name for it). */
const RTLD_NODELETE = 0x1000;

/**
 * Loads CUDA's libraries from the added runtime, so that the loader, which keeps one library a name, has them when the
 * provider asks. Does nothing where the runtime was not added: then the machine's own libraries are searched as usual.
 */
export function preloadCuda(): void {
  const root = join(runtimeFolder("cuda"), "nvidia");
  if (!existsSync(root)) return;
  let waiting = readdirSync(root, { recursive: true, encoding: "utf8" })
    .filter((path) => ASKED_FOR.test(basename(path)))
    .map((path) => join(root, path));
  // Some need others of them: those that cannot be loaded yet are tried again after the rest.
  for (let before = Number.POSITIVE_INFINITY; waiting.length < before; ) {
    before = waiting.length;
    waiting = waiting.filter((path) => !stays(path));
  }
}

/** node takes any library for an addon; it loads this one, finds no addon in it, and says so. */
function stays(path: string): boolean {
  const { RTLD_NOW, RTLD_GLOBAL } = constants.dlopen;
  try {
    process.dlopen({ exports: {} }, path, RTLD_NOW | RTLD_GLOBAL | RTLD_NODELETE);
    return true;
  } catch (error) {
    return /did not self-register/.test((error as Error).message);
  }
}
