/**
 * Models, adapters and rows that are links: huggingface_hub keeps a model as a folder of relative links to files named by their hash,
 * people link models and data with absolute ones.
 */
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { evaluateFile } from "../../../client/tasks/evaluate.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { openModelFolder } from "../../../shared/models/files.js";
import type { RuntimeChoice } from "../../../shared/runtimes/types.js";
import { jsonLines, TINY_MODEL } from "../../support/tiny.js";

const root = mkdtempSync(join(tmpdir(), "kindred-links-"));
after(() => rmSync(root, { recursive: true }));
const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
const ADAPTER = asset("test", "fixtures", "peft", "adapters", "all");
const ROWS = join(root, "rows.jsonl");
writeFileSync(ROWS, jsonLines(["the rain was good"]));

/** A folder of the hub's cache with the files of another folder. @returns the folder of its one revision */
function hubFolder(name: string, source: string): string {
  const blobs = join(root, name, "blobs");
  const snapshot = join(root, name, "snapshots", "0123abc");
  for (const folder of [blobs, snapshot]) mkdirSync(folder, { recursive: true });
  readdirSync(source).forEach((file, at) => {
    copyFileSync(join(source, file), join(blobs, `blob${at}`));
    symlinkSync(join("..", "..", "blobs", `blob${at}`), join(snapshot, file));
  });
  return snapshot;
}

/** A folder of absolute links to the files of another folder. */
function linkedFolder(name: string, source: string): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const file of readdirSync(source)) symlinkSync(join(source, file), join(folder, file));
  return folder;
}

const lossOf = async (given: { model: string; adapter: string; data: string; runtime?: RuntimeChoice }) => {
  const runtime: RuntimeChoice = { kind: "onnx", device: "cpu", threads: 1 };
  const job = { quantization: "none", maxTokens: 64, endOfText: "auto", format: {}, runtime, ...given } as const;
  return (await evaluateFile(job, context)).loss;
};

test("a model, an adapter and rows behind links have the loss of the files themselves, on every runtime", async () => {
  const wanted = await lossOf({ model: TINY_MODEL, adapter: ADAPTER, data: ROWS });
  const model = hubFolder("models--acme--tiny", TINY_MODEL);
  const data = join(root, "linked.jsonl");
  symlinkSync(ROWS, data);
  assert.equal(await lossOf({ model, adapter: hubFolder("models--acme--lora", ADAPTER), data }), wanted);
  const absolute = linkedFolder("absolute", TINY_MODEL);
  symlinkSync(absolute, join(root, "folder-link"));
  const adapter = linkedFolder("adapter", ADAPTER);
  for (const linked of [absolute, join(root, "folder-link")]) {
    assert.equal(await lossOf({ model: linked, adapter, data }), wanted);
  }
  const wasm: RuntimeChoice = { kind: "tfjs", device: "wasm", threads: 1 };
  assert.ok(Math.abs((await lossOf({ model, adapter, data, runtime: wasm })) - wanted) < 1e-4);
});

test("the folder of the hub's cache above the revisions is refused, saying where they are", async () => {
  hubFolder("models--acme--other", TINY_MODEL);
  await assert.rejects(openModelFolder(join(root, "models--acme--other")), {
    code: "invalid_model",
    message: /is not a model's folder; .*; name a revision's folder in .*models--acme--other.snapshots$/,
  });
});
