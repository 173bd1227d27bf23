/** The index and the files of a server on the loopback that cuts, forgets, lies and asks for a password. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { download } from "../../../../shared/runtimes/install/download.js";
import { PackageIndex, type Wheel } from "../../../../shared/runtimes/install/package-index.js";
import { diskError, requireSpace } from "../../../../shared/runtimes/install/space.js";
import { WheelServer } from "../../../support/wheel-server.js";

const PLATFORM = { architecture: "x86_64", glibc: 31 } as const;
const content = randomBytes(200_000);
const served = (file: string) => ({ file, content });
const requirement = (version: string) => ({ name: "some-lib", specifiers: [{ operator: "~=", version }] });

let folder: string;
let server: WheelServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-download-"));
  server = await WheelServer.start([
    served("some_lib-1.9.0-py3-none-manylinux_2_28_x86_64.whl"),
    served("some_lib-1.10.0-py3-none-manylinux2014_x86_64.manylinux_2_17_x86_64.whl"),
    served("some_lib-1.11.0-py3-none-manylinux_2_34_x86_64.whl"),
    served("some_lib-1.12.0-py3-none-manylinux_2_28_aarch64.whl"),
    served("some_lib-1.13.0rc1-py3-none-manylinux_2_28_x86_64.whl"),
    { ...served("some_lib-1.14.0-py3-none-manylinux_2_28_x86_64.whl"), yanked: true },
    { ...served("some_lib-1.15.0-py3-none-manylinux_2_28_x86_64.whl"), sha256: "" },
    served("some_lib-1.16.0.tar.gz"),
    served("some_lib-2.0.0-py3-none-manylinux_2_28_x86_64.whl"),
  ]);
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const find = (index = server.index): Promise<Wheel> => new PackageIndex({ index }).newest(requirement("1.0"), PLATFORM);
const fetchTo = (wheel: Wheel, onBytes?: (bytes: number) => void) =>
  download(wheel, join(folder, wheel.file), { retryDelayMs: 1, ...(onBytes === undefined ? {} : { onBytes }) });

test("the newest release that fits version, architecture and C library is chosen, from JSON and from HTML", async () => {
  for (const html of [false, true]) {
    server.html = html;
    const wheel = await find();
    assert.equal(wheel.version, "1.10.0");
    assert.equal(wheel.bytes, html ? undefined : content.length);
    await fetchTo(wheel);
    assert.deepEqual(await readFile(join(folder, wheel.file)), content);
    await rm(join(folder, wheel.file));
  }
});

test("what the index lacks is named, and so is a server that is none", async () => {
  const index = new PackageIndex({ index: server.index });
  await assert.rejects(index.newest({ name: "other", specifiers: [] }, PLATFORM), {
    code: "not_found",
    message: /no package other/,
  });
  await assert.rejects(index.newest(requirement("3.0"), PLATFORM), {
    code: "not_found",
    message: /no wheel of some-lib~=3\.0 for x86_64 and glibc 2\.31/,
  });
  const old = { architecture: "x86_64", glibc: 12 } as const;
  await assert.rejects(index.newest(requirement("1.0"), old), { code: "not_found", message: /glibc 2\.12, only/ });
  assert.throws(() => new PackageIndex({ index: "ftp://x/simple" }), { code: "invalid_option", message: /--index/ });
  const gone = await WheelServer.start([]);
  const { index: nowhere } = gone;
  await gone.stop();
  await assert.rejects(find(nowhere), {
    code: "unavailable",
    message: /cannot be reached \(ECONNREFUSED\).*--index or PIP_INDEX_URL/,
  });
});

test("a password in the index's address goes to its own host, and into no message", async () => {
  server.password = "s3cret/";
  await assert.rejects(find(), { code: "unavailable", message: /answers 401/ });
  const address = server.index.replace("http://", "http://user:s3cret%2F@");
  const index = new PackageIndex({ index: address });
  const wheel = await index.newest(requirement("1.0"), PLATFORM);
  assert.equal(JSON.stringify([index.name, wheel]).includes("s3cret"), false);
  await download(wheel, join(folder, wheel.file), { headers: index.headersFor(wheel.url) });
  assert.deepEqual(index.headersFor("https://elsewhere.example/x.whl"), {});
});

test("a connection that is cut is continued where it ended, in the same attempt and in the next", async () => {
  const wheel = await find();
  server.cutAfter = [50_000, 60_000];
  let told = 0;
  await fetchTo(wheel, (bytes) => {
    told += bytes;
  });
  assert.deepEqual(await readFile(join(folder, wheel.file)), content);
  assert.equal(told, content.length);
  assert.deepEqual(server.requests.slice(1), [
    `${wheel.file} whole`,
    `${wheel.file} bytes=50000-`,
    `${wheel.file} bytes=110000-`,
  ]);

  // What an attempt before has left.
  await rm(join(folder, wheel.file));
  await writeFile(join(folder, `${wheel.file}.part`), content.subarray(0, 123_456));
  await fetchTo(wheel);
  assert.equal(server.requests.at(-1), `${wheel.file} bytes=123456-`);
  // And what is whole is not asked for again.
  const before = server.requests.length;
  await fetchTo(wheel);
  assert.equal(server.requests.length, before);
});

test("a server without ranges is read from the beginning, once more", async () => {
  const wheel = await find();
  server.ranges = false;
  server.cutAfter = [70_000];
  let told = 0;
  await fetchTo(wheel, (bytes) => {
    told += bytes;
  });
  assert.deepEqual(await readFile(join(folder, wheel.file)), content);
  assert.equal(told, content.length);
});

test("a connection that never gets further ends the attempt and keeps what came", async () => {
  const wheel = await find();
  server.cutAfter = [1000, 0, 0, 0, 0, 0, 0];
  await assert.rejects(fetchTo(wheel), {
    code: "unavailable",
    message: /stopped at 1000 of 200000 bytes .* run the same again/,
  });
  assert.deepEqual(await readdir(folder), [`${wheel.file}.part`]);
});

test("a file with another hash is deleted, and gets no name", async () => {
  const wheel = { ...(await find()), sha256: "0".repeat(64) };
  await assert.rejects(fetchTo(wheel), { code: "checksum_mismatch", message: /the index says 0000/ });
  assert.deepEqual(await readdir(folder), []);
});

test("more bytes than the index says are not taken", async () => {
  const wheel = { ...(await find()), bytes: 1000 };
  await assert.rejects(fetchTo(wheel), { code: "unavailable", message: /more than the file's 1000 bytes/ });
});

test("a stop keeps what came", async () => {
  const wheel = await find();
  server.cutAfter = [30_000];
  const stop = new AbortController();
  const work = download(wheel, join(folder, wheel.file), {
    signal: stop.signal,
    onBytes: (bytes) => {
      if (bytes > 0) stop.abort();
    },
  });
  await assert.rejects(work, { code: "cancelled" });
  assert.deepEqual(await readdir(folder), [`${wheel.file}.part`]);
});

test("a disk without room is told before it is full, and one that is full with what to do", async () => {
  await assert.rejects(requireSpace(folder, 2 ** 60, "a wheel"), {
    code: "too_large",
    message: /a wheel needs .* are free; free some/,
  });
  await requireSpace(folder, 1, "a wheel");
  const full = Object.assign(new Error("x"), { code: "ENOSPC", syscall: "write" });
  assert.match((diskError(full, folder) as Error).message, /the disk of .* is full; free some.*KINDRED_CACHE/);
  const other = new Error("y");
  assert.equal(diskError(other, folder), other);
});
