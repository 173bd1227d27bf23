/** What `kindred export` writes beside the adapters: the tokenizer and the model cards. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { parse } from "yaml";
import { type ExportJob, exportRun } from "../../../cli/jobs/export.js";
import { PUBLISHED, type Published } from "../../../coordinator/ensemble/published.js";
import { EventLog } from "../../../coordinator/events/events.js";
import { openState } from "../../../coordinator/storage/open.js";
import { encodeSafetensors } from "../../../shared/adapters/safetensors.js";
import { type Logger, silentLog } from "../../../shared/base/log.js";
import { coordinatorPlan } from "../../../shared/config/config.js";
import { openModelFolder } from "../../../shared/models/files.js";
import { modelTokenizerHash, tokenizerHash } from "../../../shared/models/tokenizer-json.js";
import { DEMO_MODEL } from "../../../simulations/demo/demo-model.js";
import { temporaryFolder } from "../../support/federation.js";
import { TINY_MODEL } from "../../support/tiny.js";

const MODULE = "model.layers.0.self_attn.q_proj";
const TENSORS = new Map([
  [`${MODULE}.lora_A.weight`, { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  [`${MODULE}.lora_B.weight`, { shape: [3, 2], data: Float32Array.of(6, 5, 4, 3, 2, 1) }],
]);
const MEMBERS = ["group-1", "group-2"];

/** A finished run of two clients, as far as the export reads it. @param model of the configuration; absent where it names none */
async function finishedRun(t: TestContext, model?: string): Promise<{ run: string; out: string }> {
  const folder = temporaryFolder();
  t.after(folder.remove);
  const run = join(folder.path, "run");
  const state = await openState(run);
  const { records } = state;
  const rows = { train: 40, validation: 8, test: 12 };
  const identity = {
    quantization: "none",
    modelHash: "ab".repeat(32),
    tokenizerHash: await modelTokenizerHash(await openModelFolder(TINY_MODEL)),
    chatTemplateHash: null,
    endOfFreeAnswers: null,
    endOfOtherRows: null,
  };
  const names = ["St. Elsewhere", "General"];
  for (const name of names) await records.saveClient({ name, instanceHash: "i", tokenHash: "t", identity, rows });
  const events = new EventLog(records);
  events.emit({ type: "run-started", model: model ?? null, clients: names.map((name) => ({ name, rows })) });
  events.emit({ type: "groups-found", groups: names.map((name) => [name]), reason: "measured" });
  for (const client of names) events.emit({ type: "score", method: "kindred", client, loss: 0.5, accuracy: 0.75 });
  events.emit({ type: "run-finished", groups: 2, members: 2 });
  await events.flush();
  const published: Published = {
    model: model === undefined ? null : "models/tiny",
    adapter: { kind: "lora", rank: 2, alpha: 4, modules: ["q_proj"], dropout: 0, freezeA: false, rslora: false },
    members: await Promise.all(
      MEMBERS.map(async (name) => ({ name, values: await state.blobs.put(encodeSafetensors(TENSORS)) })),
    ),
    weights: names.map((name) => [name, [1, 0]]),
  };
  const { model: _, ...plan } = coordinatorPlan({ minClients: 2, training: { epochs: 7, learningRate: 0.02 } });
  const value = { ...plan, ...(model === undefined ? {} : { model, modelName: "models/tiny" }) };
  await records.saveMemo("plan", JSON.stringify({ value }));
  await records.saveMemo(PUBLISHED, JSON.stringify({ value: published }));
  await state.close();
  return { run, out: join(folder.path, "out") };
}

/** @returns what was exported, and the warnings */
async function exported(job: Omit<ExportJob, "force">) {
  const warnings: string[] = [];
  const log: Logger = { ...silentLog, warn: (message, fields) => warnings.push(JSON.stringify([message, fields])) };
  const signal = new AbortController().signal;
  return { ...(await exportRun({ force: false, ...job }, { log, signal })), warnings };
}

const fieldsOf = (card: string): Record<string, unknown> => parse(card.split("---\n")[1] as string);

test("an output that is a file is refused", async (t) => {
  const { run, out } = await finishedRun(t);
  writeFileSync(out, "");
  await assert.rejects(
    exportRun({ run, out, force: false }, { log: silentLog, signal: new AbortController().signal }),
    {
      code: "invalid_option",
      message: `${out}: is a file; name a folder`,
    },
  );
});

test("each adapter stands with the tokenizer and a card, under the base model's name as the user has it", async (t) => {
  const { run, out } = await finishedRun(t, TINY_MODEL);
  assert.deepEqual(await exported({ run, out }), { members: MEMBERS, tokenizer: true, warnings: [] });
  const tokenizer = await modelTokenizerHash(await openModelFolder(TINY_MODEL));
  for (const folder of [out, ...MEMBERS.map((name) => join(out, "members", name))]) {
    assert.equal(tokenizerHash(JSON.parse(readFileSync(join(folder, "tokenizer.json"), "utf8"))), tokenizer);
    const { tokenizer_class: kind, eos_token: end } = JSON.parse(
      readFileSync(join(folder, "tokenizer_config.json"), "utf8"),
    );
    assert.deepEqual([kind, end], ["PreTrainedTokenizerFast", "</s>"]);
    const card = readFileSync(join(folder, "README.md"), "utf8");
    assert.deepEqual(fieldsOf(card), {
      base_model: "models/tiny",
      library_name: "peft",
      pipeline_tag: "text-generation",
      license: null,
      tags: ["lora", "federated-learning", "kindred"],
    });
    assert.match(card, /Private rows of 2 clients, with 80 rows to train on, 16 to validate and 24 to test\./);
    assert.match(card, /^\| passes over each client's rows \| 7 \|$/m);
    assert.match(card, /^\| learning rate \| 0\.02 \|$/m);
    assert.match(card, /^\| the ensemble, with each client's own weights \| 0\.500 \| 75\.0 % \|$/m);
    assert.match(card, new RegExp(`\`${"ab".repeat(32)}\``));
    assert.doesNotMatch(card, /Elsewhere|General/);
  }
  const config = JSON.parse(readFileSync(join(out, "members", "group-1", "adapter_config.json"), "utf8"));
  assert.equal(config.base_model_name_or_path, "models/tiny");
});

test("a run whose configuration names no model, or one that is gone, is exported without a tokenizer, and says so", async (t) => {
  for (const [model, reason] of [
    [undefined, /names no model/],
    ["/nowhere/at/all", /\/nowhere\/at\/all/],
  ] as const) {
    const { run, out } = await finishedRun(t, model);
    const { tokenizer, warnings } = await exported({ run, out });
    assert.equal(tokenizer, false);
    assert.equal(warnings.length, 1);
    assert.match(warnings[0] as string, reason);
    assert.ok(!existsSync(join(out, "tokenizer.json")));
    assert.ok(existsSync(join(out, "members", "group-1", "README.md")));
  }
});

test("a model that the user names gives the tokenizer and, where the run has none, the name; another model's is refused", async (t) => {
  const { run, out } = await finishedRun(t);
  assert.equal((await exported({ run, out, model: TINY_MODEL, modelName: "here/tiny" })).tokenizer, true);
  const config = JSON.parse(readFileSync(join(out, "members", "group-2", "adapter_config.json"), "utf8"));
  assert.equal(config.base_model_name_or_path, "here/tiny");
  const refused = { code: "model_mismatch", message: /its tokenizer is not the one of the run$/ };
  await assert.rejects(exported({ run, out: `${out}-2`, model: DEMO_MODEL }), refused);
  assert.ok(!existsSync(`${out}-2`));
});
