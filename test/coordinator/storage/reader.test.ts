import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { after, test } from "node:test";
import { openStore, readStore } from "../../../coordinator/storage/sqlite.js";
import { bytesOf, temporaryFolder } from "../../support/federation.js";

const folder = temporaryFolder();
after(() => folder.remove());

test("a state is read while its coordinator has it open, and after", async () => {
  const store = await openStore(folder.path);
  await store.saveMemo("estimate", "1");
  const blob = bytesOf(100, "blob");
  const ref = await store.blobs.put(blob);
  for (const open of [true, false]) {
    if (!open) await store.close();
    const reader = await readStore(folder.path);
    assert.equal(await reader.memo("estimate"), "1");
    assert.equal(await reader.memo("none"), undefined);
    assert.deepEqual(new Uint8Array(await reader.blobs.get(ref)), blob);
    await assert.rejects(reader.blobs.get({ ...ref, sha256: "0".repeat(64) }), /is not in/);
    await reader.close();
  }
});

test("where there is no state none is made", async () => {
  const empty = temporaryFolder();
  await assert.rejects(readStore(empty.path), /holds no state/);
  assert.deepEqual(readdirSync(empty.path), []);
  empty.remove();
});
