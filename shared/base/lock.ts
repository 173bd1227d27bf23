/**
 * One process at a time: a lock file whose holder keeps touching it, so that a killed holder's lock goes stale, also on a
 * disk that several machines share. It knows nothing of what is guarded; work must survive the rare case that two hold it
 * (both found it stale at the same moment).
 */
import { mkdir, open, rm, stat, utimes } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

const TOUCH_MS = 2_000;
/** Five touches missed. */
const STALE_MS = 10_000;
const POLL_MS = 200;

/** Runs `work` while holding the lock; waits for it before. @param signal stops the waiting, with an AbortError */
export async function withLock<T>(path: string, work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  while (!(await take(path))) await sleep(POLL_MS, undefined, { signal });
  // A touch that fails (the file was taken for stale and removed) is found by the next holder, not here.
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
