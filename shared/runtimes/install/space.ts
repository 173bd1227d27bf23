/** Room on a disk, and what a disk's errors mean to the person at the terminal. */
import { statfs } from "node:fs/promises";
import { KindredError } from "../../base/errors.js";
import { reasonOf } from "../../base/json.js";

/** Bytes in words: 1.2 GB. */
export function bytesText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`;
}

const advice = "free some, or name a folder on another disk by KINDRED_CACHE";

/**
 * @param folder one that is there
 * @throws {KindredError} `too_large` where the disk has less room than `bytes`
 */
export async function requireSpace(folder: string, bytes: number, what: string): Promise<void> {
  const { bavail, bsize } = await statfs(folder);
  const free = bavail * bsize;
  if (free >= bytes) return;
  throw new KindredError(
    "too_large",
    `${what} needs ${bytesText(bytes)} in ${folder}, where ${bytesText(free)} are free; ${advice}`,
    { folder, bytes, free },
  );
}

/** An error of the file system as one that says what to do; any other as it is. */
export function diskError(error: unknown, folder: string): unknown {
  if (error instanceof KindredError) return error;
  const { code, syscall } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === "ENOSPC" || code === "EDQUOT")
    return new KindredError("too_large", `the disk of ${folder} is full; ${advice}`, { folder }, error);
  if (syscall === undefined || code === undefined) return error;
  return new KindredError("unavailable", `${folder}: cannot be written (${reasonOf(error)})`, { folder, code }, error);
}
