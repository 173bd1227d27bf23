import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import type { StoredEvent, TaskOutcome } from "../../../coordinator/storage/types.js";
import type { KindredError } from "../../../shared/base/errors.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { IDENTITY, trainTask } from "../../support/federation.js";
import { inEachPlace } from "../../support/states.js";

const DONE: TaskOutcome = { ok: false, code: "task_failed", message: "once", bytesUp: 1, bytesDown: 2 };
const event = (key: string, at = 1_700_000_000_000.5): StoredEvent => ({ key, at, json: `{"key":"${key}"}` });

inEachPlace((place, state, remove) => {
  describe(`records in ${place}`, () => {
    before(() => state.open());
    after(remove);

    it("keep clients, tasks, outcomes, uploads and memos", async () => {
      const client = {
        name: "ada",
        instanceHash: "i",
        tokenHash: "t",
        identity: { ...IDENTITY, chatTemplateHash: "c" },
        rows: { train: 1, validation: 2, test: 3 },
      };
      const { records } = state.now;
      await records.saveClient({ ...client, name: "zoe" });
      await records.saveClient(client);
      await records.saveClient({ ...client, tokenHash: "newer" });
      const task = { id: "id", key: "key", client: "ada", task: trainTask({ sha256: "ab", size: 1 }) };
      await records.addTask(task);
      await assert.rejects(records.addTask(task));
      const ref = { sha256: "cd", size: 5_000_000_000 };
      await records.announceUpload("id", ref, 1);
      await records.completeUpload("id", ref);
      await records.saveMemo("memo", '{"value":0}');
      await records.saveMemo("memo", '{"value":1}');

      const later = (await state.reopened()).records;
      assert.deepEqual(await later.clients(), [
        { ...client, tokenHash: "newer" },
        { ...client, name: "zoe" },
      ]);
      assert.deepEqual(await later.task("id"), task);
      assert.equal(await later.task("other"), undefined);
      assert.equal(await later.isUploaded("id", ref), true);
      assert.equal(await later.isUploaded("other", ref), false);
      assert.equal(await later.isUploaded("id", { ...ref, size: 1 }), false);
      assert.equal(await later.memo("memo"), '{"value":1}');
      assert.equal(await later.memo("none"), undefined);
    });

    it("settle a task once", async () => {
      const { records } = state.now;
      await records.addTask({ id: "once", key: "key", client: "ada", task: trainTask() });
      assert.equal(await records.settleTask("once", DONE), true);
      assert.equal(await records.settleTask("once", { ...DONE, message: "twice" }), false);
      assert.deepEqual((await (await state.reopened()).records.task("once"))?.outcome, DONE);
      assert.equal(await state.now.records.settleTask("no such task", DONE), false);
    });

    it("take many outcomes, memos and events at once, and those that a closing state is still asked to take", async () => {
      const { records } = state.now;
      const ids = Array.from({ length: 200 }, (_, i) => `many-${i}`);
      await Promise.all(ids.map((id) => records.addTask({ id, key: id, client: "ada", task: trainTask() })));
      const settled = ids.flatMap((id) => [
        records.settleTask(id, DONE),
        records.settleTask(id, { ...DONE, message: "late" }),
      ]);
      const written = ids.flatMap((id) => [records.saveMemo(id, `"${id}"`), records.appendEvents([event(id)])]);
      const later = state.reopened();
      assert.equal((await Promise.all(settled)).filter((first) => first).length, ids.length);
      await Promise.all(written);
      const reopened = (await later).records;
      for (const id of ids) {
        assert.deepEqual((await reopened.task(id))?.outcome, DONE);
        assert.equal(await reopened.memo(id), `"${id}"`);
      }
      assert.deepEqual(
        (await reopened.events(1)).map(({ key }) => key),
        ids,
      );
    });

    it("note a number of distinct blobs for a task, each with one size", async () => {
      const { records } = state.now;
      const noted: boolean[] = [];
      for (const sha256 of ["a", "b", "a", "c", "b"]) {
        noted.push(await records.announceUpload("counting", { sha256, size: 1 }, 2));
      }
      assert.deepEqual(noted, [true, true, true, false, true]);
      assert.equal(await records.announceUpload("another task", { sha256: "c", size: 2 }, 2), true);
      const swollen = records.announceUpload("counting", { sha256: "a", size: 2 }, 2);
      await assert.rejects(swollen, (error: KindredError) => error.code === "invalid_message");
      assert.equal(await records.isUploaded("counting", { sha256: "a", size: 1 }), false);
      await records.completeUpload("counting", { sha256: "never announced", size: 1 });
      assert.equal(await records.isUploaded("counting", { sha256: "never announced", size: 1 }), false);
    });

    it("forget the outcomes, uploads and memos that name a lost blob, and no others", async () => {
      const { records } = state.now;
      const [lost, kept] = [
        { sha256: "0f".repeat(32), size: 7 },
        { sha256: "f0".repeat(32), size: 7 },
      ];
      const done = (values: BlobRef): TaskOutcome =>
        ({ ok: true, result: { kind: "trainAdapter", values }, bytesUp: 1, bytesDown: 2 }) as unknown as TaskOutcome;
      for (const [id, ref] of [
        ["of the lost", lost],
        ["of the kept", kept],
      ] as const) {
        // The task names the lost blob too: what is asked of a client stays.
        await records.addTask({ id, key: id, client: "ada", task: trainTask(lost) });
        await records.announceUpload(id, ref, 1);
        await records.completeUpload(id, ref);
        await records.settleTask(id, done(ref));
        await records.saveMemo(`memo ${id}`, JSON.stringify({ value: { start: ref } }));
      }
      assert.equal(await records.forgetBlob(lost), 3);
      assert.equal(await records.forgetBlob(lost), 0);
      const later = (await state.reopened()).records;
      assert.equal((await later.task("of the lost"))?.outcome, undefined);
      assert.deepEqual((await later.task("of the lost"))?.task, trainTask(lost));
      assert.equal(await later.isUploaded("of the lost", lost), false);
      assert.equal(await later.memo("memo of the lost"), undefined);
      assert.deepEqual((await later.task("of the kept"))?.outcome, done(kept));
      assert.equal(await later.isUploaded("of the kept", kept), true);
      assert.ok(await later.memo("memo of the kept"));
      assert.equal(await later.settleTask("of the lost", done(lost)), true);
    });

    it("give no caller a hold on what is stored", async () => {
      const task = { id: "mine", key: "key", client: "ada", task: { ...trainTask() } };
      await state.now.records.addTask(task);
      (task.task as { validateEvery: number }).validateEvery = 99;
      const read = await state.now.records.task("mine");
      assert.deepEqual(read?.task, trainTask());
      (read?.task as { validateEvery: number }).validateEvery = 98;
      assert.deepEqual((await state.now.records.task("mine"))?.task, trainTask());
    });
  });
});

inEachPlace((place, state, remove) => {
  describe(`events in ${place}`, () => {
    before(() => state.open());
    after(remove);

    it("keep their order, each key once, through restarts", async () => {
      const start = (await state.now.records.events(1)).length;
      const { records } = state.now;
      await records.appendEvents([]);
      await records.appendEvents([event("a"), event("b"), event("a", 2)]);
      await Promise.all([records.appendEvents([event("b", 3), event("c")]), records.appendEvents([event("d")])]);
      const later = (await state.reopened()).records;
      await later.appendEvents([event("a", 4), event("e"), event("c", 5)]);
      const all = ["a", "b", "c", "d", "e"].map((key, i) => ({ seq: start + i + 1, ...event(key) }));
      assert.deepEqual(await later.events(start + 1), all);
      assert.deepEqual(await later.events(start + 3, 2), all.slice(2, 4));
      assert.deepEqual(await later.events(start + 6), []);
      assert.deepEqual(await later.events(start + 1, 0), []);
      assert.deepEqual(await later.events(0), await later.events(1));
    });

    it("are what a list without repeats would hold, whatever is appended and read", async () => {
      const keys = fc.array(fc.integer({ min: 0, max: 30 }).map(String), { maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(fc.array(keys, { maxLength: 6 }), fc.nat(40), fc.nat(40), async (batches, from, limit) => {
          const start = (await state.now.records.events(1)).length;
          const tag = `${start}-${Math.random()}-`;
          const expected = [...new Set(batches.flat())].map((key, i) => ({ seq: start + i + 1, ...event(tag + key) }));
          await Promise.all(
            batches.map((batch) => state.now.records.appendEvents(batch.map((key) => event(tag + key)))),
          );
          assert.deepEqual(await state.now.records.events(start + 1), expected);
          const some = expected.slice(Math.max(0, from - 1)).slice(0, limit);
          assert.deepEqual(await state.now.records.events(start + Math.max(1, from), limit), some);
        }),
        { numRuns: 30 },
      );
    });
  });
});
