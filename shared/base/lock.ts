/**
 * A lock between processes: a file whose holder touches it regularly, so that the lock of a killed holder becomes stale, also on a disk
 * that several machines share. In rare cases two processes hold it (both found it stale at the same moment), and the guarded work must
 * tolerate that.
 */
import { open, rm, stat, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./folders.js";

const TOUCH_MS = 2_000;
/** The time of five touches. */
const STALE_MS = 10_000;
const POLL_MS = 200;

/** Waits for the lock and runs `work` with it. @param signal ends the waiting with an AbortError */
export async function withLock<T>(path: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  makeFolder(dirname(path));
  while (!(await take(path))) await sleep(POLL_MS, undefined, { signal });
  // A touch fails where another process found the file stale and removed it; that process then has the lock.
  const touching = setInterval(() => utimes(path, new Date(), new Date()).catch(() => undefined), TOUCH_MS);
  try {
    return await work();
  } finally {
    clearInterval(touching);
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  try {
    await (await open(path, "wx")).close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const touched = await stat(path).then(
    (info) => info.mtimeMs,
    () => 0,
  );
  if (Date.now() - touched > STALE_MS) await rm(path, { force: true });
  return false;
}
