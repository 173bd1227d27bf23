/** What any store must do; run on SQLite with a folder of blobs. */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import Database from "libsql";
import { refOf } from "../../../client/outbox/upload.js";
import { openStore } from "../../../coordinator/storage/sqlite.js";
import type { Store, TaskOutcome } from "../../../coordinator/storage/types.js";
import { KindredError } from "../../../shared/base/errors.js";
import { bytesOf, temporaryFolder, trainTask } from "../../support/federation.js";

const code = (expected: string) => (error: unknown) => error instanceof KindredError && error.code === expected;
const DONE: TaskOutcome = { ok: false, code: "task_failed", message: "once", bytesUp: 1, bytesDown: 2 };

describe("a store", () => {
  const folder = temporaryFolder();
  let store: Store;
  before(async () => {
    store = await openStore(folder.path);
  });
  after(async () => {
    await store.close();
    folder.remove();
  });

  async function reopened(): Promise<Store> {
    await store.close();
    store = await openStore(folder.path);
    return store;
  }

  it("keeps clients, tasks, outcomes, uploads and memos", async () => {
    const client = {
      name: "ada",
      instanceHash: "i",
      tokenHash: "t",
      modelHash: "m",
      rows: { train: 1, validation: 2, test: 3 },
    };
    await store.saveClient(client);
    await store.saveClient({ ...client, tokenHash: "newer" });
    const task = { id: "id", key: "key", client: "ada", task: trainTask({ sha256: "ab", size: 1 }) };
    await store.addTask(task);
    const ref = { sha256: "cd", size: 5_000_000_000 };
    await store.announceUpload("id", ref);
    await store.completeUpload("id", ref);
    await store.saveMemo("memo", '{"value":1}');

    const later = await reopened();
    assert.deepEqual(await later.clients(), [{ ...client, tokenHash: "newer" }]);
    assert.deepEqual(await later.task("id"), task);
    assert.equal(await later.task("other"), undefined);
    assert.equal(await later.isUploaded("id", ref), true);
    assert.equal(await later.isUploaded("other", ref), false);
    assert.equal(await later.isUploaded("id", { ...ref, size: 1 }), false);
    assert.equal(await later.memo("memo"), '{"value":1}');
    assert.equal(await later.memo("none"), undefined);
  });

  it("settles a task once", async () => {
    await store.addTask({ id: "once", key: "key", client: "ada", task: trainTask() });
    assert.equal(await store.settleTask("once", DONE), true);
    assert.equal(await store.settleTask("once", { ...DONE, message: "twice" }), false);
    assert.deepEqual((await (await reopened()).task("once"))?.outcome, DONE);
    assert.equal(await store.settleTask("no such task", DONE), false);
  });

  it("takes many outcomes and memos at once, and those that a closing store is still asked to take", async () => {
    const ids = Array.from({ length: 200 }, (_, i) => `many-${i}`);
    await Promise.all(ids.map((id) => store.addTask({ id, key: id, client: "ada", task: trainTask() })));
    const settled = ids.flatMap((id) => [
      store.settleTask(id, DONE),
      store.settleTask(id, { ...DONE, message: "late" }),
    ]);
    const memos = ids.map((id) => store.saveMemo(id, `"${id}"`));
    const later = reopened();
    assert.equal((await Promise.all(settled)).filter((first) => first).length, ids.length);
    await Promise.all(memos);
    await later;
    for (const id of ids) {
      assert.deepEqual((await store.task(id))?.outcome, DONE);
      assert.equal(await store.memo(id), `"${id}"`);
    }
  });

  it("counts the distinct blobs announced for a task", async () => {
    const counts: number[] = [];
    for (const sha256 of ["a", "b", "a", "c"]) counts.push(await store.announceUpload("counting", { sha256, size: 1 }));
    assert.deepEqual(counts, [1, 2, 2, 3]);
    assert.equal(await store.isUploaded("counting", { sha256: "a", size: 1 }), false);
  });

  it("stores a blob once, whatever way it came, and finds damage", async () => {
    const bytes = bytesOf(100_000, "blob");
    const ref = await store.blobs.put(bytes);
    assert.deepEqual(await store.blobs.put(bytes), ref);
    const incoming = await store.blobs.receive("task", ref);
    await incoming.append(bytes.subarray(0, 60_000));
    await incoming.append(bytes.subarray(60_000));
    await incoming.finish();
    assert.ok(Buffer.from(await (await reopened()).blobs.get(ref)).equals(bytes));
    const pieces: Buffer[] = [];
    for await (const piece of store.blobs.read(ref, 30_000, 40_000)) pieces.push(piece);
    assert.deepEqual(
      pieces.map((piece) => piece.length),
      [40_000, 30_000],
    );
    assert.ok(Buffer.concat(pieces).equals(bytes.subarray(30_000)));

    const file = join(folder.path, "blobs", ref.sha256.slice(0, 2), ref.sha256);
    const damaged = readFileSync(file);
    damaged[5] = (damaged[5] ?? 0) ^ 1;
    writeFileSync(file, damaged);
    await assert.rejects(store.blobs.get(ref), code("checksum_mismatch"));
    await assert.rejects(store.blobs.get({ ...ref, size: 1 }), code("not_found"));
  });

  it("goes on with an upload in the next process", async () => {
    const bytes = bytesOf(90_000, "resumed");
    const ref = refOf(bytes);
    const first = await store.blobs.receive("task", ref);
    await first.append(bytes.subarray(0, 50_000));
    await first.suspend();
    const later = await reopened();
    assert.equal(await later.blobs.held("task", ref), 50_000);
    const second = await later.blobs.receive("task", ref);
    await second.append(bytes.subarray(50_000));
    await second.finish();
    assert.ok(await later.blobs.has(ref));
    assert.equal(await later.blobs.held("task", ref), 0);
  });

  it("lets a later upload take over from one that hangs", async () => {
    const bytes = bytesOf(1_000, "takeover");
    const ref = refOf(bytes);
    const hanging = await store.blobs.receive("task", ref);
    await hanging.append(bytes.subarray(0, 400));
    const later = await store.blobs.receive("task", ref);
    assert.equal(later.held, 400);
    await assert.rejects(hanging.append(bytes.subarray(400)), code("cancelled"));
    await later.append(bytes.subarray(400));
    await later.finish();
    assert.ok(await store.blobs.has(ref));
  });

  it("deletes what a task left unfinished, and no other's", async () => {
    const ref = { sha256: "ef".repeat(32), size: 10 };
    for (const task of ["mine", "other"]) {
      const incoming = await store.blobs.receive(task, ref);
      await incoming.append(bytesOf(5, task));
      await incoming.suspend();
    }
    await store.blobs.dropUnfinished("mine");
    assert.equal(await store.blobs.held("mine", ref), 0);
    assert.equal(await store.blobs.held("other", ref), 5);
    assert.equal(readdirSync(join(folder.path, "partial")).length, 1);
  });

  it("keeps events in order, each key once, through restarts", async () => {
    const event = (key: string, at = 1_700_000_000_000.5) => ({ key, at, json: `{"key":"${key}"}` });
    await store.appendEvents([]);
    await store.appendEvents([event("a"), event("b"), event("a", 2)]);
    await Promise.all([store.appendEvents([event("b", 3), event("c")]), store.appendEvents([event("d")])]);
    const later = await reopened();
    await later.appendEvents([event("a", 4), event("e"), event("c", 5)]);
    const all = ["a", "b", "c", "d", "e"].map((key, i) => ({ seq: i + 1, ...event(key) }));
    assert.deepEqual(await later.events(1), all);
    assert.deepEqual(await later.events(3, 2), all.slice(2, 4));
    assert.deepEqual(await later.events(6), []);
  });

  it("gives any range of a blob, and refuses what is not within it", async () => {
    const bytes = bytesOf(100_000, "ranges");
    const ref = await store.blobs.put(bytes);
    for (const [offset, length] of [
      [0, 100_000],
      [7, 1],
      [99_999, 1],
      [100_000, 0],
      [33_333, 40_000],
    ] as const) {
      const piece = await store.blobs.range(ref, offset, length);
      assert.ok(piece.equals(bytes.subarray(offset, offset + length)), `${offset}, ${length}`);
    }
    for (const [offset, length] of [
      [-1, 1],
      [0, 100_001],
      [100_000, 1],
      [0.5, 1],
      [0, Number.NaN],
    ] as const) {
      await assert.rejects(store.blobs.range(ref, offset, length), code("invalid_option"));
    }
    await assert.rejects(store.blobs.range({ ...ref, size: 99_999 }, 0, 1), code("not_found"));
    await assert.rejects(store.blobs.range({ ...ref, sha256: "0".repeat(64) }, 0, 1), code("not_found"));
  });

  it("takes a blob piece by piece without knowing its length", async () => {
    const bytes = bytesOf(100_000, "streamed");
    const writer = await store.blobs.write();
    for (let at = 0; at < bytes.length; at += 30_000) await writer.append(bytes.subarray(at, at + 30_000));
    assert.equal(await store.blobs.has(refOf(bytes)), false);
    assert.deepEqual(await writer.finish(), refOf(bytes));
    assert.ok(Buffer.from(await store.blobs.get(refOf(bytes))).equals(bytes));
    await writer.abort();
    await assert.rejects(writer.append(bytes), code("internal"));

    const again = await store.blobs.write();
    await again.append(bytes);
    assert.deepEqual(await again.finish(), refOf(bytes));
    const dropped = await store.blobs.write();
    await dropped.append(bytes.subarray(1));
    await dropped.abort();
    await dropped.abort();
    await assert.rejects(dropped.finish(), code("internal"));
    assert.equal(await store.blobs.has(refOf(bytes.subarray(1))), false);
    assert.deepEqual(await (await store.blobs.write()).finish(), refOf(new Uint8Array(0)));
  });

  it("removes at opening what a killed process was writing", async () => {
    const before = readdirSync(join(folder.path, "partial")).length;
    await (await store.blobs.write()).append(bytesOf(100, "killed"));
    assert.equal(readdirSync(join(folder.path, "partial")).length, before + 1);
    await reopened();
    assert.equal(readdirSync(join(folder.path, "partial")).length, before);
  });

  it("is refused to a second process", async () => {
    await assert.rejects(
      openStore(folder.path),
      (error) => code("invalid_option")(error) && /in use/.test(String(error)),
    );
  });

  it("refuses a file of another schema, and one that is no database", async () => {
    const [newer, broken] = [temporaryFolder(), temporaryFolder()];
    await (await openStore(newer.path)).close();
    const file = new Database(join(newer.path, "state.db"));
    file.exec("update schema_info set version = 99");
    file.close();
    await assert.rejects(
      openStore(newer.path),
      (error) => code("unsupported")(error) && /version 99/.test(String(error)),
    );
    writeFileSync(join(broken.path, "state.db"), "this is no database, and long enough to be read as one".repeat(50));
    await assert.rejects(openStore(broken.path), code("invalid_option"));
    newer.remove();
    broken.remove();
  });
});
