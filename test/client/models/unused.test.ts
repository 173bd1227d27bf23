/** Tensors that a model's configuration gives no place: none is left out without a word, and none is there under two names. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openModel } from "../../../client/models/open.js";
import { type Logger, silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import type { FloatTensor } from "../../../shared/base/tensors.js";
import { changedModel } from "../../support/changed-model.js";

const root = mkdtempSync(join(tmpdir(), "kindred-unused-"));
after(() => rmSync(root, { recursive: true }));
const tensor: FloatTensor = { shape: [2], data: Float32Array.of(1, 2) };

type Warning = { readonly message: string } & object;

/** The log's warnings about a model with more tensors. */
async function warningsOf(label: string, ...names: readonly string[]): Promise<Warning[]> {
  const folder = await changedModel(join(root, label), {
    tensors: (tensors) => {
      for (const name of names) tensors.set(name, tensor);
    },
  });
  const warnings: Warning[] = [];
  const log: Logger = { ...silentLog, warn: (message, fields) => warnings.push({ message, ...fields }) };
  await openModel(folder, { log, progress: silentProgress, signal: new AbortController().signal });
  return warnings;
}

test("more layers, biases and other heads than the configuration names are named in the log", async () => {
  const bias = "model.layers.0.self_attn.q_proj.bias";
  const warnings = await warningsOf("more", bias, "model.layers.9.mlp.up_proj.weight");
  assert.equal(warnings.length, 1);
  const { message, ...fields } = warnings[0]!;
  assert.match(message, /holds tensors that .*config\.json gives no place; they are left out/);
  assert.deepEqual(fields, { tensors: 2, first: bias });
});

test("tables that older checkpoints saved are no reason for a warning", async () => {
  assert.deepEqual(
    await warningsOf("tables", "model.layers.0.self_attn.rotary_emb.inv_freq", "h.0.attn.masked_bias"),
    [],
  );
});

test("a weight under two names is refused, naming both", async () => {
  await assert.rejects(warningsOf("twice", "norm.weight"), {
    code: "invalid_model",
    message: /tensor model\.norm\.weight is there twice, as model\.norm\.weight and as norm\.weight; remove/,
  });
});
