/** Makes folders, with errors that name them. */
import { mkdirSync, statSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { KindredError } from "./errors.js";
import { reasonOf } from "./json.js";

/** Codes of paths that cannot be a folder here, whatever the disk holds: another path is needed. */
const NO_PLACE: ReadonlySet<string | undefined> = new Set([
  "EACCES",
  "EEXIST",
  "EINVAL",
  "ELOOP",
  "ENAMETOOLONG",
  "ENOENT",
  "ENOTDIR",
  "EPERM",
  "EROFS",
]);

/**
 * Makes a folder and those above it. Not by Node's `recursive`: it never returns where a folder refuses a new one with ENOENT, as
 * /proc does (Node 20 and 22).
 * @param options `mode`: of each folder that is made, less the umask. `advice`: what to do where it cannot be made
 * @returns the uppermost folder that was made; undefined where the folder was there
 * @throws {KindredError} `invalid_option` for a path that cannot be a folder; other errors of the file system as they are
 */
export function makeFolder(
  folder: string,
  { mode = 0o777, advice = "name a folder that can be written" }: { mode?: number; advice?: string } = {},
): string | undefined {
  const missing: string[] = [];
  try {
    for (let path = resolve(folder); !isFolder(path); path = dirname(path)) missing.unshift(path);
    for (const path of missing) makeOne(path, mode);
    return missing[0];
  } catch (error) {
    if (!NO_PLACE.has((error as NodeJS.ErrnoException).code)) throw error;
    const reason =
      (error as NodeJS.ErrnoException).code === "ENOENT" ? "the one above takes no folder" : reasonOf(error);
    const message = `${folder}: cannot be made a folder (${reason}); ${advice}`;
    throw new KindredError("invalid_option", message, { folder }, error);
  }
}

/** @throws the file system's error for a path that is there and is no folder, or that cannot be looked at */
function isFolder(path: string): boolean {
  const info = statSync(path, { throwIfNoEntry: false });
  if (info === undefined || info.isDirectory()) return info !== undefined;
  throw Object.assign(new Error(`${path} is a file`), { code: "EEXIST" });
}

/** Another process may make the folder at the same time. */
function makeOne(path: string, mode: number): void {
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST" || !isFolder(path)) throw error;
  }
}
