/** `kindred runtime add | remove | list`: what npm does not bring, brought and taken away again. */
import { rm } from "node:fs/promises";
import { defaultCache } from "../../base/cache.js";
import type { JobContext } from "../../base/command.js";
import { KindredError } from "../../base/errors.js";
import { addCuda } from "./cuda.js";
import { ADDABLE, type Addable, hasCudaProvider, runtimeFolder } from "./installed.js";
import { PackageIndex } from "./package-index.js";
import { bytesText } from "./space.js";
import { downloadFolder, holdingLock, type Manifest, readManifest, removeFolder } from "./store.js";
import { addTfjs } from "./tfjs.js";

export { ADDABLE };

export interface RuntimeStatus {
  readonly name: Addable;
  readonly added: boolean;
  /** Where it is, or would be. */
  readonly folder: string;
  readonly variant?: Manifest["variant"];
  readonly versions?: Manifest["versions"];
  readonly bytes?: number;
  /** What keeps it from being used, with the command that mends it. */
  readonly fault?: string;
}

export interface AddOptions {
  /** Of tfjs: TensorFlow with CUDA. @default false */
  readonly gpu?: boolean;
  /** Simple API of a Python package index. @default PIP_INDEX_URL, else the public index */
  readonly index?: string;
  /** @default the folder of `defaultCache` */
  readonly cache?: string;
}

/** @throws {KindredError} `invalid_option` where it is none that can be added */
export function addable(name: string): Addable {
  const known = ADDABLE.find((candidate) => candidate === name);
  if (known === undefined)
    throw new KindredError("invalid_option", `there is no runtime ${name} to add; there are ${ADDABLE.join(" and ")}`);
  return known;
}

/**
 * Adds a runtime, or finds it there. A stop or a failure leaves the downloads, and the next call continues them.
 * @throws {KindredError} `invalid_option`, `unsupported` (system, compiler), `unavailable` (network), `checksum_mismatch`,
 *   `not_found`, `too_large` (the disk is full), `already_exists`, `cancelled`
 */
export async function addRuntime(name: string, options: AddOptions, context: JobContext): Promise<RuntimeStatus> {
  const wanted = addable(name);
  const { gpu = false, cache = defaultCache() } = options;
  if (gpu && wanted === "cuda") throw new KindredError("invalid_option", "--gpu is for tfjs; cuda is for GPUs anyway");
  const { signal } = context;
  const index = new PackageIndex({ signal, ...(options.index === undefined ? {} : { index: options.index }) });
  await holdingLock(wanted, cache, signal, async () => {
    if (wanted === "cuda") await addCuda(index, cache, context);
    else await addTfjs(gpu ? "gpu" : "cpu", index, cache, context);
    await rm(downloadFolder(wanted, cache), { recursive: true, force: true });
  });
  return statusOf(wanted, cache);
}

/** Undoes `addRuntime`, downloads that did not come to an end included. @returns whether it had been added */
export async function removeRuntime(name: string, signal?: AbortSignal, cache = defaultCache()): Promise<boolean> {
  const wanted = addable(name);
  return await holdingLock(wanted, cache, signal, async () => {
    const there = await removeFolder(wanted, cache);
    await rm(downloadFolder(wanted, cache), { recursive: true, force: true });
    return there;
  });
}

export function addedRuntimes(cache = defaultCache()): RuntimeStatus[] {
  return ADDABLE.map((name) => statusOf(name, cache));
}

/** A line for people. */
export function statusText({ name, added, variant, versions, bytes, folder, fault }: RuntimeStatus): string {
  if (!added) return `${name}  not added`;
  const packages = Object.entries(versions ?? {}).map(([name, version]) => `${name} ${version}`);
  const lines = [`${name}  ${variant}, ${bytesText(bytes ?? 0)} in ${folder}`, `      ${packages.join(", ")}`];
  return [...lines, ...(fault === undefined ? [] : [`      ${fault}`])].join("\n");
}

function statusOf(name: Addable, cache: string): RuntimeStatus {
  const manifest = readManifest(name, cache);
  const folder = runtimeFolder(name, cache);
  if (manifest === undefined) return { name, added: false, folder };
  const { variant, versions, bytes } = manifest;
  const unlinked = name === "cuda" && !hasCudaProvider();
  const fault = unlinked ? { fault: "onnxruntime-node was installed anew since: kindred runtime add cuda" } : {};
  return { name, added: true, folder, variant, versions, bytes, ...fault };
}
