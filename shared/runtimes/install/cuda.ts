/**
 * The CUDA provider of ONNX Runtime, which the npm package lacks: two libraries of the Python wheel `onnxruntime-gpu` of the
 * same version, which ONNX Runtime looks for beside its own, and the `nvidia-*` wheels with CUDA's libraries that it needs.
 * How a process finds those is in installed.ts.
 */
import { basename, join } from "node:path";
import type { JobContext } from "../../base/command.js";
import { KindredError } from "../../base/errors.js";
import { type OnnxInstallation, onnxInstallation, PROVIDERS, runtimeFolder } from "./installed.js";
import { hostPlatform, type PackageIndex } from "./package-index.js";
import {
  downloadFolder,
  hasLink,
  installFolder,
  type Manifest,
  makeLink,
  readManifest,
  writeManifest,
} from "./store.js";
import { fetchNvidiaWheels, fetchWheel, nvidiaLibrary, unpackWheel } from "./wheels.js";

const PACKAGE = "onnxruntime-gpu";

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
      const nvidia = await fetchNvidiaWheels(index, root, ["cuda", "cudnn"], { platform, folder: downloads, context });
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
