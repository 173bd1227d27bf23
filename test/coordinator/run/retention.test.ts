/** What a run leaves in its state: what is read after it, and none of the updates. */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";
import { PUBLISHED, type Published } from "../../../coordinator/ensemble/published.js";
import { Retention } from "../../../coordinator/run/retention.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { live, memoryDisk } from "../../support/lives.js";
import { CASES } from "./cases.js";

const ref = (name: string): BlobRef => ({ sha256: name, size: 1 });

test("what is transient and named by nothing else is surplus, however deep it lies", () => {
  const retention = new Retention();
  retention.pass({ values: ref("update"), losses: [1] });
  retention.pass({ full: ref("round"), state: { tensors: { m: ref("momentum") } }, start: null });
  retention.keep({ members: [{ values: ref("round") }] });
  retention.keep([ref("sketch"), "text", 7]);
  assert.deepEqual(retention.surplus, [ref("update"), ref("momentum")]);
});

test("a run leaves its sketches and its published members, and no update", async () => {
  const disk = memoryDisk();
  const runtime = new OnnxRuntime({ threads: 1 });
  try {
    await live(CASES.small, runtime, { disk });
  } finally {
    await runtime.close();
  }
  const { records, blobs } = await disk.open();
  const resultOf = async (client: string, key: string): Promise<Record<string, BlobRef>> => {
    const id = createHash("sha256")
      .update(JSON.stringify([client, key]))
      .digest("hex");
    const outcome = (await records.task(id))?.outcome;
    assert.ok(outcome?.ok, `${key} of ${client}`);
    return outcome.result as unknown as Record<string, BlobRef>;
  };
  const { value } = JSON.parse((await records.memo(PUBLISHED)) ?? "") as { value: Published };
  const kept = [...value.members.map(({ values }) => values)];
  const updates: BlobRef[] = [];
  for (const { name } of CASES.small.clients) {
    kept.push((await resultOf(name, "sketch")).rows!);
    updates.push((await resultOf(name, "train/shared/0")).values!);
  }
  assert.ok(value.members.length > 0);
  for (const blob of kept) assert.equal(await blobs.has(blob), true);
  for (const blob of updates) assert.equal(await blobs.has(blob), false);
});
