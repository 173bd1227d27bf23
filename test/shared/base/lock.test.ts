/** The lock file: one holder at a time, and stale locks are released. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { withLock } from "../../../shared/base/lock.js";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-lock-"));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

test("work under one lock never overlaps, and the lock is released when the work ends or fails", async () => {
  const path = join(folder, "new", "lock");
  let inside = 0;
  const work = async (i: number) => {
    assert.equal(++inside, 1);
    await sleep(5);
    inside--;
    if (i === 1) throw new Error("failed");
    return i;
  };
  const results = await Promise.allSettled([0, 1, 2].map((i) => withLock(path, () => work(i))));
  assert.deepEqual(
    results.map(({ status }) => status),
    ["fulfilled", "rejected", "fulfilled"],
  );
  assert.deepEqual(await readdir(join(folder, "new")), []);
});

test("a lock whose holder was killed is taken once it is stale", async () => {
  const path = join(folder, "lock");
  await writeFile(path, "");
  const old = new Date(Date.now() - 11_000);
  await utimes(path, old, old);
  assert.equal(await withLock(path, async () => "done"), "done");
});

test("the signal ends the waiting for a held lock", async () => {
  const path = join(folder, "lock");
  await writeFile(path, "");
  await assert.rejects(
    withLock(path, async () => assert.fail("not held"), AbortSignal.timeout(50)),
    { name: "AbortError" },
  );
});
