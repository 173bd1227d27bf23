/** Archives that are honest, and archives that lie about names and sizes. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { readMember, unpack } from "../../../../shared/runtimes/install/unpack.js";
import { type ZipMember, zipOf } from "../../../support/zip.js";

let folder: string;
let archive: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-unpack-"));
  archive = join(folder, "a.whl");
});
afterEach(() => rm(folder, { recursive: true }));

const all = (member: string): string => member;
const below = (): Promise<string[]> =>
  readdir(join(folder, "out"), { recursive: true }).then(
    (names) => names.sort(),
    () => [],
  );

async function unpackOf(members: readonly ZipMember[], choose: (member: string) => string | undefined = all) {
  await writeFile(archive, zipOf(members));
  return unpack(archive, join(folder, "out"), choose);
}

test("chosen members are written where they belong, and the others are not", async () => {
  const big = "x".repeat(300_000);
  const totals: number[] = [];
  let bytes = 0;
  await writeFile(
    archive,
    zipOf([
      { name: "a/", content: "" },
      { name: "a/b.so", content: big },
      { name: "c", content: "no" },
    ]),
  );
  const places = await unpack(archive, join(folder, "out"), (name) => (name === "a/b.so" ? "lib/b.so" : undefined), {
    onTotal: (total) => totals.push(total),
    onBytes: (count) => {
      bytes += count;
    },
  });
  assert.deepEqual(places, ["lib/b.so"]);
  assert.deepEqual(await below(), ["lib", "lib/b.so"]);
  assert.equal(await readFile(join(folder, "out", "lib", "b.so"), "utf8"), big);
  assert.deepEqual([totals, bytes], [[300_000], 300_000]);
  assert.equal(await readMember(archive, /^c$/), "no");
  assert.equal(await readMember(archive, /^d$/), undefined);
});

test("no name leads out of the folder, whether the archive's or the choice's", async () => {
  for (const name of ["../evil", "a/../../evil", "/etc/evil", "a\\..\\evil", "C:/evil"]) {
    await assert.rejects(unpackOf([{ name, content: "x" }]), { code: "invalid_message", message: /^a\.whl: / }, name);
  }
  for (const place of ["../evil", "/etc/evil", "", ".", "a/../../b"]) {
    await assert.rejects(
      unpackOf([{ name: "good", content: "x" }], () => place),
      { code: "invalid_message", message: /good would be written outside its folder/ },
      place,
    );
  }
  assert.deepEqual(await readdir(folder), ["a.whl"]);
});

test("a member that is a link, comes twice, or holds another number of bytes than it claims is refused", async () => {
  await assert.rejects(unpackOf([{ name: "link", content: "/etc/passwd", mode: 0o120777 }]), {
    message: /link is no regular file/,
  });
  const twice = [
    { name: "a", content: "1" },
    { name: "a", content: "2" },
  ];
  await assert.rejects(unpackOf(twice), { message: /a is in it twice/ });
  const bomb = { name: "bomb", content: "0".repeat(1_000_000), claimedSize: 10 };
  await assert.rejects(unpackOf([bomb]), { code: "invalid_message" });
  const written = await readFile(join(folder, "out", "bomb")).catch(() => Buffer.alloc(0));
  assert.ok(written.length <= 10, `${written.length} bytes were written`);
  await assert.rejects(unpackOf([{ name: "short", content: "123", claimedSize: 1000 }]), { code: "invalid_message" });
  await assert.rejects(unpackOf([{ name: "vast", content: "1", claimedSize: 0xfffffff0 }]), {
    code: /too_large|invalid_message/,
  });
});

test("what is no zip file, or is cut off, says so", async () => {
  await writeFile(archive, "<html>not found</html>");
  await assert.rejects(unpack(archive, join(folder, "out"), all), { code: "invalid_message", message: /^a\.whl: / });
  const whole = zipOf([{ name: "a", content: "x".repeat(10_000) }]);
  await writeFile(archive, whole.subarray(0, whole.length - 30));
  await assert.rejects(unpack(archive, join(folder, "out"), all), { code: "invalid_message" });
});

test("a stop ends the unpacking", async () => {
  await writeFile(archive, zipOf([{ name: "a", content: "x".repeat(3_000_000) }]));
  const stop = new AbortController();
  const work = unpack(archive, join(folder, "out"), all, { signal: stop.signal, onTotal: () => stop.abort() });
  await assert.rejects(work, { code: "cancelled" });
});
