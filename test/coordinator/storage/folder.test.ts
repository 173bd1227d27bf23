/** What only a state in a folder can meet: killed writers, damage, other versions, folders that may not be written. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import Database from "libsql";
import { openState, readState } from "../../../coordinator/storage/open.js";
import { KindredError } from "../../../shared/base/errors.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { bytesOf, temporaryFolder } from "../../support/federation.js";
import { coordinatorAt, listing } from "../../support/state-holder.js";

const noUsers = process.platform === "win32" ? "Windows has other permissions" : false;

function folderOf(t: TestContext): string {
  const folder = temporaryFolder();
  t.after(() => folder.remove());
  return folder.path;
}

/** One line, of this code, with these words. */
function fault(code: string, words: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof KindredError, String(error));
    assert.equal(error.code, code);
    assert.match(error.message, words);
    assert.doesNotMatch(error.message, /\n/);
    return true;
  };
}

test("a state is read while another process writes to it and after that process was killed, and nothing in it changes", async (t) => {
  const folder = folderOf(t);
  const coordinator = await coordinatorAt(folder, t);
  await coordinator.write("1");
  const before = listing(folder);
  const reader = await readState(folder);
  assert.equal(await reader.records.memo("value"), "1");
  const [event] = await reader.records.events(1);
  const ref = JSON.parse(event?.json ?? "") as { sha256: string; size: number };
  assert.deepEqual(new Uint8Array(await reader.blobs.get(ref)), bytesOf(1_000, "1"));
  assert.deepEqual(listing(folder), before);

  for (let i = 2; i < 60; i++) await coordinator.write(String(i));
  const written = listing(folder);
  assert.equal(await reader.records.memo("value"), "59");
  await coordinator.kill();
  assert.equal(await reader.records.memo("value"), "59");
  await reader.close();
  const late = await readState(folder);
  assert.equal(await late.records.memo("value"), "59");
  assert.equal((await late.records.events(1)).length, 59);
  await late.close();
  assert.deepEqual(listing(folder), written);

  const next = await openState(folder);
  assert.equal(await next.records.memo("value"), "59");
  await next.close();
});

test("a state of which state.db and the blobs alone were copied is read, and followed once a coordinator writes to it", async (t) => {
  const folder = folderOf(t);
  const first = await coordinatorAt(folder, t);
  await first.write("1");
  await first.end();
  for (const name of ["state.db-wal", "state.db-shm", "lock.db"]) rmSync(join(folder, name), { force: true });
  const before = listing(folder);
  const reader = await readState(folder);
  assert.equal(await reader.records.memo("value"), "1");
  assert.deepEqual(listing(folder), before);
  const coordinator = await coordinatorAt(folder, t);
  await coordinator.write("2");
  assert.equal(await reader.records.memo("value"), "2");
  await reader.close();
});

test("a folder that may not be written is read, and refused to a coordinator", { skip: noUsers }, async (t) => {
  const folder = folderOf(t);
  const coordinator = await coordinatorAt(folder, t);
  await coordinator.write("1");
  await coordinator.kill();
  // An operator who lets others read.
  for (const name of ["state.db", "state.db-wal", "state.db-shm", "lock.db"]) chmodSync(join(folder, name), 0o644);
  const refused = ["1", "invalid_option", `state ${folder}: is not writable`];
  try {
    chmodSync(folder, 0o555);
    assert.deepEqual(await withoutPower(folder), refused);
    chmodSync(folder, 0o777);
    chmodSync(join(folder, "lock.db"), 0o444);
    assert.deepEqual(await withoutPower(folder), refused);
  } finally {
    chmodSync(folder, 0o755);
  }
});

/** What a process that is not root's reads there, and what it is told when it wants to write. */
async function withoutPower(folder: string): Promise<unknown> {
  const script = fileURLToPath(new URL("./unprivileged-process.js", import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, [script, folder]);
  return JSON.parse(stdout);
}

test("what a killed process was writing is removed at opening; uploads are kept", async (t) => {
  const folder = folderOf(t);
  const partial = join(folder, "partial");
  mkdirSync(partial);
  writeFileSync(join(partial, ".write.123-0a1b2c3d.tmp"), "cut");
  const first = await openState(folder);
  assert.deepEqual(readdirSync(partial), []);
  const upload = await first.blobs.receive("task", { sha256: "ab".repeat(32), size: 10 });
  await upload.append(bytesOf(5, "upload"));
  await upload.suspend();
  await first.close();
  const second = await openState(folder);
  assert.deepEqual(readdirSync(partial), [`task-${"ab".repeat(32)}-10`]);
  await second.close();
});

/** Flips a bit of a file. */
function flip(file: string, at = 5): void {
  const bytes = readFileSync(file);
  bytes[at] = (bytes[at] ?? 0) ^ 1;
  writeFileSync(file, bytes);
}

test("a damaged blob is found whichever part of it is read, and is moved aside by the process that writes", async (t) => {
  const folder = folderOf(t);
  const first = await openState(folder);
  const refs = await Promise.all(Array.from({ length: 5 }, (_, i) => first.blobs.put(bytesOf(1_000, "blob", i))));
  const fileOf = ({ sha256 }: BlobRef, place = "blobs"): string =>
    place === "blobs" ? join(folder, place, sha256.slice(0, 2), sha256) : join(folder, place, sha256);
  const [whole, part, cut, open, gone] = refs as [BlobRef, BlobRef, BlobRef, BlobRef, BlobRef];
  assert.equal((await first.blobs.range(open, 0, 10)).length, 10);
  // While the file is open, too.
  flip(fileOf(open));
  const damaged = (problem: RegExp) => fault("state_unavailable", problem);
  await assert.rejects(first.blobs.range(open, 900, 10), damaged(/has another SHA-256/));
  await first.close();

  for (const ref of [whole, part]) flip(fileOf(ref));
  truncateSync(fileOf(cut), 999);
  rmSync(fileOf(gone));
  const reader = await readState(folder);
  await assert.rejects(reader.blobs.get(whole), damaged(/has another SHA-256/));
  assert.ok(existsSync(fileOf(whole)), "who reads moves nothing");
  await reader.close();

  const state = await openState(folder);
  await assert.rejects(state.blobs.get(whole), damaged(/has another SHA-256/));
  // The bit that is wrong is elsewhere.
  await assert.rejects(state.blobs.readInto(part, 900, Buffer.alloc(10)), damaged(/has another SHA-256/));
  await assert.rejects(state.blobs.range(cut, 0, 10), damaged(/has another SHA-256/));
  await assert.rejects(state.blobs.get(gone), damaged(/is missing/));
  for (const ref of [whole, part, cut, open]) {
    assert.ok(existsSync(fileOf(ref, "damaged")), ref.sha256);
    assert.equal(await state.blobs.has(ref), false);
    await assert.rejects(state.blobs.get(ref), damaged(/is missing/));
  }
  // Made again it is sound.
  assert.deepEqual(await state.blobs.put(bytesOf(1_000, "blob", 0)), whole);
  assert.deepEqual(new Uint8Array(await state.blobs.get(whole)), bytesOf(1_000, "blob", 0));
  await state.close();
});

test("a file of another schema version is refused, to write and to read", async (t) => {
  const folder = folderOf(t);
  await (await openState(folder)).close();
  for (const version of [1, 99]) {
    const file = new Database(join(folder, "state.db"));
    file.exec(`update schema_info set version = ${version}`);
    file.close();
    const words = new RegExp(
      `state.db: .*expected schema version 3, got version ${version}; use the Kindred that wrote it`,
    );
    await assert.rejects(openState(folder), fault("unsupported", words));
    await assert.rejects(readState(folder), fault("unsupported", words));
  }
});

test("a file that is no database is refused, and one with damaged pages says so when they are met", async (t) => {
  const folder = folderOf(t);
  const file = join(folder, "state.db");
  writeFileSync(file, "this is no database, and long enough to be read as one".repeat(50));
  await assert.rejects(openState(folder), fault("invalid_option", /state.db: is not a database of Kindred; give/));
  await assert.rejects(readState(folder), fault("invalid_option", /state.db: is not a database of Kindred; give/));
  rmSync(file);

  const state = await openState(folder);
  for (let i = 0; i < 200; i++) await state.records.saveMemo(`memo ${i}`, `"${"x".repeat(200)}"`);
  await state.close();
  const bytes = readFileSync(file);
  bytes.fill(0xff, 4096 * 3);
  writeFileSync(file, bytes);
  await assert.rejects(
    async () => {
      const damaged = await readState(folder);
      try {
        for (let i = 0; i < 200; i++) await damaged.records.memo(`memo ${i}`);
      } finally {
        await damaged.close();
      }
    },
    fault("state_unavailable", /state.db: is damaged; restore/),
  );
});

test("a folder without a state is read as none, and none is made", async (t) => {
  const folder = folderOf(t);
  await assert.rejects(readState(folder), fault("not_found", /holds no state/));
  await assert.rejects(readState(join(folder, "missing")), fault("not_found", /holds no state/));
  assert.deepEqual(readdirSync(folder), []);
});

test("a place that is a file is refused", async (t) => {
  const file = join(folderOf(t), "file");
  writeFileSync(file, "");
  for (const place of [file, join(file, "below")]) {
    await assert.rejects(openState(place), fault("invalid_option", /is, or is below, a file; expected a folder/));
    await assert.rejects(readState(place), fault("not_found", /holds no state/));
  }
});

test("a state that was refused leaves its lease free", async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, "state.db"), "no database, and long enough to be read as one".repeat(50));
  await assert.rejects(openState(folder));
  rmSync(join(folder, "state.db"));
  await (await openState(folder)).close();
  assert.ok(existsSync(join(folder, "state.db")));
});
