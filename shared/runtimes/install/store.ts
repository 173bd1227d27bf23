/**
 * Where added runtimes are kept, whole or not at all:
 *
 *     CACHE/runtimes/NAME/                what was added, with manifest.json; it gets this name only once it is complete
 *     CACHE/runtimes/NAME.partial/        being built; thrown away by the next attempt
 *     CACHE/runtimes/NAME.lock            held by the process that adds or removes
 *     CACHE/runtimes/NAME.downloads/      wheels of an attempt that has not succeeded yet; FILE.part is continued
 *
 * It knows nothing of what a runtime is made of.
 */
import { readFileSync } from "node:fs";
import { lstat, readdir, readlink, rename, rm, stat, symlink, unlink } from "node:fs/promises";
import { dirname, join } from "node:path";
import * as z from "zod";
import { syncFolder, writeAtomically } from "../../base/atomic.js";
import { defaultCache, makeCache } from "../../base/cache.js";
import { KindredError } from "../../base/errors.js";
import { makeFolder } from "../../base/folders.js";
import { withLock } from "../../base/lock.js";
import { type Addable, runtimeFolder } from "./installed.js";

const manifest = z.object({
  variant: z.enum(["cpu", "gpu"]),
  /** Package -> version. */
  versions: z.record(z.string(), z.string()),
  /** Bytes on disk. */
  bytes: z.number().int().nonnegative(),
  /** Symbolic links outside the runtime's folder; `remove` takes away those that still lead into it. */
  links: z.array(z.object({ path: z.string(), target: z.string() })),
});

/** What was added, so that it can be undone. */
export type Manifest = Readonly<z.infer<typeof manifest>>;
export type Link = Manifest["links"][number];

export const downloadFolder = (name: Addable, cache: string): string => `${runtimeFolder(name, cache)}.downloads`;

/** The manifest of a runtime that was added; undefined where it was not. */
export function readManifest(name: Addable, cache = defaultCache()): Manifest | undefined {
  let text: string;
  try {
    text = readFileSync(join(runtimeFolder(name, cache), "manifest.json"), "utf8");
  } catch {
    return undefined; // not added: the folder comes with its manifest
  }
  try {
    return manifest.parse(JSON.parse(text));
  } catch (error) {
    const folder = runtimeFolder(name, cache);
    throw new KindredError("invalid_config", `${folder}/manifest.json is damaged; delete ${folder}`, { folder }, error);
  }
}

export const writeManifest = (folder: string, content: Manifest): Promise<void> =>
  writeAtomically(join(folder, "manifest.json"), `${JSON.stringify(content, null, 2)}\n`, { access: "umask" });

export const holdingLock = async <T>(
  name: Addable,
  cache: string,
  signal: AbortSignal | undefined,
  work: () => Promise<T>,
): Promise<T> => {
  makeCache(cache);
  return withLock(`${runtimeFolder(name, cache)}.lock`, work, signal);
};

/**
 * Builds a runtime's folder out of sight and gives it its name, replacing an older one. Under the lock.
 * @param build fills the folder and says what is in it
 */
export async function installFolder(
  name: Addable,
  cache: string,
  build: (folder: string) => Promise<Omit<Manifest, "bytes">>,
): Promise<Manifest> {
  const folder = runtimeFolder(name, cache);
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  makeFolder(partial);
  try {
    const built = await build(partial);
    const content = { ...built, bytes: await bytesIn(partial) };
    await writeManifest(partial, content);
    await rm(folder, { recursive: true, force: true });
    await rename(partial, folder);
    await syncFolder(dirname(folder));
    return content;
  } catch (error) {
    await rm(partial, { recursive: true, force: true });
    throw error;
  }
}

async function bytesIn(folder: string): Promise<number> {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += (await stat(join(entry.parentPath, entry.name))).size;
  return bytes;
}

/** Takes away a runtime's folder and its links. Under the lock. @returns false where it was not there */
export async function removeFolder(name: Addable, cache: string): Promise<boolean> {
  const folder = runtimeFolder(name, cache);
  const content = readManifest(name, cache);
  for (const link of content?.links ?? []) await removeLink(link);
  await rm(folder, { recursive: true, force: true });
  await rm(`${folder}.partial`, { recursive: true, force: true });
  return content !== undefined;
}

/**
 * Whether a link is there.
 * @throws {KindredError} `already_exists` where something else is in its place
 */
export async function hasLink({ path, target }: Link): Promise<boolean> {
  const there = await lstat(path).catch(() => undefined);
  if (there === undefined) return false;
  if (there.isSymbolicLink() && (await readlink(path)) === target) return true;
  throw new KindredError(
    "already_exists",
    `${path} is there, and Kindred did not put it there for this cache; it is used as it is, unless you move it away and run ` +
      `this again`,
    { path, target },
  );
}

/** @throws {KindredError} `already_exists` where something else is in its place */
export async function makeLink(link: Link): Promise<void> {
  if (!(await hasLink(link))) await symlink(link.target, link.path);
}

async function removeLink({ path, target }: Link): Promise<void> {
  const leads = await readlink(path).catch(() => undefined); // gone, or replaced by a file of somebody else's
  if (leads === target) await unlink(path);
}
