/**
 * The CUDA provider of ONNX Runtime, which the npm package lacks: two libraries of the Python wheel `onnxruntime-gpu` of the
 * same version, which ONNX Runtime looks for beside its own, and the `nvidia-*` wheels with CUDA's libraries that it needs.
 * The provider has no search path for those, so a process loads them before it (`preloadCuda`).
 */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { constants } from "node:os";
import { basename, dirname, join } from "node:path";
import type { JobContext } from "../../base/command.js";
import { KindredError } from "../../base/errors.js";
import { hostPlatform, type PackageIndex } from "./package-index.js";
import {
  downloadFolder,
  hasLink,
  installFolder,
  type Manifest,
  makeLink,
  readManifest,
  runtimeFolder,
  writeManifest,
} from "./store.js";
import { fetchNvidiaWheels, fetchWheel, nvidiaLibrary, unpackWheel } from "./wheels.js";

const PACKAGE = "onnxruntime-gpu";
const PROVIDERS = ["libonnxruntime_providers_shared.so", "libonnxruntime_providers_cuda.so"];

export interface OnnxInstallation {
  readonly version: string;
  /** The folder of libonnxruntime.so.1; undefined where the package has none for this machine. */
  readonly libraries: string | undefined;
}

/** The onnxruntime-node that Kindred uses. */
export function onnxInstallation(): OnnxInstallation {
  const manifest = createRequire(import.meta.url).resolve("onnxruntime-node/package.json");
  const { version } = JSON.parse(readFileSync(manifest, "utf8")) as { version: string };
  const bin = join(dirname(manifest), "bin");
  const libraries = readdirSync(bin)
    .map((api) => join(bin, api, process.platform, process.arch))
    .find((folder) => existsSync(join(folder, "libonnxruntime.so.1")));
  return { version, libraries };
}

/** Whether the CUDA provider lies beside ONNX Runtime, whoever put it there. */
export function hasCudaProvider({ libraries }: OnnxInstallation = onnxInstallation()): boolean {
  return libraries !== undefined && PROVIDERS.every((file) => existsSync(join(libraries, file)));
}

/** Adds the CUDA provider to an ONNX Runtime, or what of it is missing. Under the lock of the store. */
export async function addCuda(
  index: PackageIndex,
  cache: string,
  context: JobContext,
  { version, libraries }: OnnxInstallation = onnxInstallation(),
): Promise<Manifest> {
  const platform = hostPlatform("the CUDA provider");
  if (platform.architecture !== "x86_64")
    throw new KindredError("unsupported", "onnxruntime-node has CUDA on x64 alone");
  if (libraries === undefined)
    throw new KindredError("unsupported", `onnxruntime-node ${version} has no library for ${process.arch}`);
  const folder = runtimeFolder("cuda", cache);
  const links = PROVIDERS.map((file) => ({ path: join(libraries, file), target: join(folder, "onnxruntime", file) }));
  for (const link of links) await hasLink(link); // what stands in the way is found before a gigabyte comes

  let manifest = readManifest("cuda", cache);
  if (manifest?.versions[PACKAGE] !== version) {
    const others = manifest?.links ?? [];
    const downloads = downloadFolder("cuda", cache);
    manifest = await installFolder("cuda", cache, async (partial) => {
      const requirement = { name: PACKAGE, specifiers: [{ operator: "==", version }] };
      const root = await fetchWheel(index, requirement, platform, downloads, context);
      const nvidia = await fetchNvidiaWheels(index, root, ["cuda", "cudnn"], platform, downloads, context);
      if ((await unpackWheel(root, partial, provider, context)).length < PROVIDERS.length)
        throw new KindredError("not_found", `${root.file} does not have ${PROVIDERS.join(" and ")}`);
      for (const wheel of nvidia) await unpackWheel(wheel, partial, nvidiaLibrary, context);
      const versions = Object.fromEntries([root, ...nvidia].map(({ name, version }) => [name, version]));
      return { variant: "gpu", versions, links: [...others] };
    });
  }
  // Recorded before they are made: a link that nobody knows of would stay.
  const known = new Set(manifest.links.map(({ path }) => path));
  manifest = { ...manifest, links: [...manifest.links, ...links.filter(({ path }) => !known.has(path))] };
  await writeManifest(folder, manifest);
  for (const link of links) await makeLink(link);
  return manifest;
}

const provider = (member: string): string | undefined => {
  const file = basename(member);
  return member === `onnxruntime/capi/${file}` && PROVIDERS.includes(file) ? `onnxruntime/${file}` : undefined;
};

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
