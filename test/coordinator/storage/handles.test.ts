import assert from "node:assert/strict";
import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { setImmediate as nextTurn } from "node:timers/promises";
import { FileHandles } from "../../../coordinator/storage/files/handles.js";
import { KindredError } from "../../../shared/base/errors.js";
import { temporaryFolder } from "../../support/federation.js";

const folder = temporaryFolder();
after(() => folder.remove());
const paths = Array.from({ length: 20 }, (_, i) => join(folder.path, `file-${i}`));
for (const [i, path] of paths.entries()) writeFileSync(path, String.fromCharCode(65 + i));

/** How many files of the folder this process has open. */
function openFiles(): number {
  const links = readdirSync("/proc/self/fd").map((fd) => {
    try {
      return readlinkSync(join("/proc/self/fd", fd));
    } catch {
      return "";
    }
  });
  return links.filter((link) => link.startsWith(folder.path)).length;
}

const skip = process.platform === "linux" ? false : "counts open files in /proc";

test("no more files are open than the bound, however many are read at once", { skip }, async () => {
  const handles = new FileHandles(3);
  let most = 0;
  const read = (path: string) =>
    handles.use(path, async (handle, size) => {
      await nextTurn();
      most = Math.max(most, openFiles());
      const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, 0);
      return `${buffer.toString()}${size}`;
    });
  const wanted = paths.map((_, i) => `${String.fromCharCode(65 + i)}1`);
  for (let round = 0; round < 3; round++) {
    assert.deepEqual(await Promise.all([...paths, ...paths].map(read)), [...wanted, ...wanted]);
  }
  assert.equal(most, 3);
  await handles.close();
  assert.equal(openFiles(), 0);
});

test("a file stays open between reads", async () => {
  const handles = new FileHandles(3);
  const seen = new Set<number>();
  for (let i = 0; i < 10; i++) await handles.use(paths[0] as string, async ({ fd }) => seen.add(fd));
  assert.equal(seen.size, 1);
  await handles.close();
});

test("a file that is missing takes no place", async () => {
  const handles = new FileHandles(1);
  const missing = join(folder.path, "missing");
  for (let i = 0; i < 3; i++)
    await assert.rejects(
      handles.use(missing, async () => 0),
      { code: "ENOENT" },
    );
  assert.equal(await handles.use(paths[0] as string, async () => 1), 1);
  await handles.close();
});

test("calls that wait for a place end when the handles are closed", async () => {
  const handles = new FileHandles(1);
  let release = () => {};
  let held: Promise<void> | undefined;
  await new Promise<void>((started) => {
    held = handles.use(paths[0] as string, () => {
      started();
      return new Promise<void>((resolve) => {
        release = resolve;
      });
    });
  });
  const waits = handles.use(paths[1] as string, async () => 1);
  await nextTurn();
  const closed = handles.close();
  await assert.rejects(waits, (error) => error instanceof KindredError && error.code === "cancelled");
  release();
  await Promise.all([held, closed]);
});
