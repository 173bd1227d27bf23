import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { after, before, describe, it } from "node:test";
import fc from "fast-check";
import { refOf } from "../../../client/outbox/upload.js";
import { KindredError } from "../../../shared/base/errors.js";
import { bytesOf } from "../../support/federation.js";
import { inEachPlace } from "../../support/states.js";

const code = (expected: string) => (error: unknown) => error instanceof KindredError && error.code === expected;

inEachPlace((place, state, remove) => {
  describe(`blobs in ${place}`, () => {
    before(() => state.open());
    after(remove);

    it("are stored once, whatever way they came", async () => {
      const bytes = bytesOf(100_000, "blob");
      const ref = await state.now.blobs.put(bytes);
      assert.deepEqual(ref, refOf(bytes));
      assert.deepEqual(await state.now.blobs.put(bytes), ref);
      const incoming = await state.now.blobs.receive("task", ref);
      await incoming.append(bytes.subarray(0, 60_000));
      await incoming.append(bytes.subarray(60_000));
      await incoming.finish();
      const { blobs } = await state.reopened();
      assert.ok(Buffer.from(await blobs.get(ref)).equals(bytes));
      const pieces: Buffer[] = [];
      for await (const piece of blobs.read(ref, 30_000, 40_000)) pieces.push(piece);
      assert.deepEqual(
        pieces.map((piece) => piece.length),
        [40_000, 30_000],
      );
      assert.ok(Buffer.concat(pieces).equals(bytes.subarray(30_000)));
      for (const wrong of [
        { ...ref, size: 1 },
        { ...ref, sha256: "0".repeat(64) },
      ]) {
        await assert.rejects(blobs.get(wrong), code("state_unavailable"));
        await assert.rejects(blobs.range(wrong, 0, 1), code("state_unavailable"));
        await assert.rejects(blobs.read(wrong, 0, 10).next(), code("state_unavailable"));
        assert.equal(await blobs.has(wrong), false);
      }
    });

    it("are removed, and can be stored anew; removing what is not there changes nothing", async () => {
      const [gone, stays] = [bytesOf(1_000, "gone"), bytesOf(1_000, "stays")];
      const { blobs } = state.now;
      const refs = [await blobs.put(gone), await blobs.put(stays)] as const;
      await blobs.range(refs[0], 0, 10); // a file that was read is held open
      await blobs.remove(refs[0]);
      await blobs.remove(refs[0]);
      assert.deepEqual([await blobs.has(refs[0]), await blobs.has(refs[1])], [false, true]);
      await assert.rejects(blobs.range(refs[0], 0, 10), code("state_unavailable"));
      await blobs.put(gone);
      assert.ok(Buffer.from(await blobs.range(refs[0], 0, 1_000)).equals(gone));
    });

    it("are copies: nobody's buffer is stored or handed out", async () => {
      const bytes = bytesOf(1_000, "copies");
      const ref = refOf(bytes);
      const given = Uint8Array.from(bytes);
      const writer = await state.now.blobs.write();
      await writer.append(given);
      given.fill(0);
      await writer.finish();
      (await state.now.blobs.get(ref)).fill(0);
      (await state.now.blobs.range(ref, 0, 10)).fill(0);
      for await (const piece of state.now.blobs.read(ref, 0, 100)) piece.fill(0);
      assert.ok(Buffer.from(await state.now.blobs.get(ref)).equals(bytes));
      const range = await state.now.blobs.range(ref, 4, 8);
      assert.equal(range.buffer.byteLength, 8);
    });

    it("give any range, and refuse bytes that are not within them", async () => {
      const bytes = bytesOf(70_001, "ranges");
      const ref = await state.now.blobs.put(bytes);
      await fc.assert(
        fc.asyncProperty(fc.nat(bytes.length), fc.nat(bytes.length), async (a, b) => {
          const [from, to] = [Math.min(a, b), Math.max(a, b)];
          const piece = await state.now.blobs.range(ref, from, to - from);
          const target = new Uint8Array(to - from + 2).fill(7);
          await state.now.blobs.readInto(ref, from, target.subarray(1, -1));
          assert.ok(piece.equals(target.subarray(1, -1)) && target[0] === 7 && target.at(-1) === 7);
          assert.ok(piece.equals(bytes.subarray(from, to)), `${from} to ${to}`);
        }),
        {
          examples: [
            [0, bytes.length],
            [bytes.length, bytes.length],
            [0, 0],
          ],
        },
      );
      for (const [offset, length] of [
        [-1, 1],
        [0, bytes.length + 1],
        [bytes.length, 1],
        [1, -1],
        [0.5, 1],
        [0, Number.NaN],
        [Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER],
      ] as const) {
        await assert.rejects(
          state.now.blobs.range(ref, offset, length),
          code("invalid_option"),
          `${offset}, ${length}`,
        );
      }
    });

    it("give ranges of many blobs side by side", async () => {
      const all = Array.from({ length: 100 }, (_, i) => bytesOf(1_000, "many", i));
      const refs = await Promise.all(all.map((bytes) => state.now.blobs.put(bytes)));
      const reads = refs.flatMap((ref, i) => [0, 1, 2].map((k) => [ref, i, k * 300] as const));
      await Promise.all(
        reads.map(async ([ref, i, at]) => {
          assert.ok((await state.now.blobs.range(ref, at, 300)).equals((all[i] as Uint8Array).subarray(at, at + 300)));
        }),
      );
    });

    it("are written piece by piece without a known length", async () => {
      const bytes = bytesOf(100_000, "streamed");
      const { blobs } = state.now;
      const writer = await blobs.write();
      for (let at = 0; at < bytes.length; at += 30_000) await writer.append(bytes.subarray(at, at + 30_000));
      assert.equal(await blobs.has(refOf(bytes)), false);
      const ref = await writer.finish();
      assert.equal(ref.sha256, createHash("sha256").update(bytes).digest("hex"));
      assert.equal(ref.size, bytes.length);
      await writer.abort();
      await assert.rejects(writer.append(bytes), code("internal"));

      const again = await blobs.write();
      await again.append(bytes);
      assert.deepEqual(await again.finish(), ref);
      const dropped = await blobs.write();
      await dropped.append(bytes.subarray(1));
      await dropped.abort();
      await dropped.abort();
      await assert.rejects(dropped.finish(), code("internal"));
      assert.equal(await blobs.has(refOf(bytes.subarray(1))), false);
      const empty = await (await blobs.write()).finish();
      assert.deepEqual(empty, refOf(new Uint8Array(0)));
      const later = (await state.reopened()).blobs;
      assert.ok(Buffer.from(await later.get(ref)).equals(bytes));
      assert.equal((await later.get(empty)).length, 0);
    });

    it("go on arriving in the next process", async () => {
      const bytes = bytesOf(90_000, "resumed");
      const ref = refOf(bytes);
      const first = await state.now.blobs.receive("task", ref);
      await first.append(bytes.subarray(0, 50_000));
      await first.suspend();
      const later = (await state.reopened()).blobs;
      assert.equal(await later.held("task", ref), 50_000);
      const second = await later.receive("task", ref);
      await second.append(bytes.subarray(50_000, 60_000));
      await assert.rejects(second.finish(), code("unavailable"));
      const third = await later.receive("task", ref);
      assert.equal(third.held, 60_000);
      await assert.rejects(third.append(bytes), code("too_large"));
      await third.append(bytes.subarray(60_000));
      await third.finish();
      assert.ok(Buffer.from(await later.get(ref)).equals(bytes));
      assert.equal(await later.held("task", ref), 0);
    });

    it("are not kept where the bytes that arrived are others than announced", async () => {
      const ref = refOf(bytesOf(1_000, "announced"));
      const incoming = await state.now.blobs.receive("task", ref);
      await incoming.append(bytesOf(1_000, "sent"));
      await assert.rejects(incoming.finish(), code("checksum_mismatch"));
      assert.equal(await state.now.blobs.has(ref), false);
      assert.equal(await state.now.blobs.held("task", ref), 0);
    });

    it("are taken over by a later upload from one that hangs", async () => {
      const bytes = bytesOf(1_000, "takeover");
      const ref = refOf(bytes);
      const hanging = await state.now.blobs.receive("task", ref);
      await hanging.append(bytes.subarray(0, 400));
      const later = await state.now.blobs.receive("task", ref);
      assert.equal(later.held, 400);
      await assert.rejects(hanging.append(bytes.subarray(400)), code("cancelled"));
      await assert.rejects(hanging.finish(), code("cancelled"));
      await later.append(bytes.subarray(400));
      await later.finish();
      assert.ok(await state.now.blobs.has(ref));
    });

    it("are whole however many uploads of one of them begin, go on and end at one time", async () => {
      const { blobs } = state.now;
      const bytes = bytesOf(10_000, "side by side");
      const ref = refOf(bytes);
      const upload = async (pieces: number): Promise<void> => {
        const incoming = await blobs.receive("task", ref);
        try {
          while (incoming.held < ref.size) {
            await incoming.append(bytes.subarray(incoming.held, incoming.held + Math.ceil(ref.size / pieces)));
          }
          await incoming.finish();
        } finally {
          await incoming.suspend();
        }
      };
      const ends = await Promise.allSettled(Array.from({ length: 20 }, (_, at) => upload(1 + at)));
      // Those that were taken over are told so; nothing else may go wrong.
      for (const end of ends)
        if (end.status === "rejected") assert.ok(code("cancelled")(end.reason), String(end.reason));
      assert.ok(ends.some(({ status }) => status === "fulfilled"));
      assert.ok(Buffer.from(await blobs.get(ref)).equals(bytes));
      assert.equal(await blobs.held("task", ref), 0);
    });

    it("lose what a task left unfinished, and no other's", async () => {
      const ref = { sha256: "ef".repeat(32), size: 10 };
      for (const task of ["mine", "other"]) {
        const incoming = await state.now.blobs.receive(task, ref);
        await incoming.append(bytesOf(5, task));
        await incoming.suspend();
      }
      await state.now.blobs.dropUnfinished("mine");
      assert.equal(await state.now.blobs.held("mine", ref), 0);
      assert.equal(await state.now.blobs.held("other", ref), 5);
    });
  });
});
