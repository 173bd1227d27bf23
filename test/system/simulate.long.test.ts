import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import type { Report } from "../../simulations/report/types.js";
import { temporaryFolder } from "../support/federation.js";
import { type Ended, kindred } from "../support/processes.js";
import { comparable } from "../support/reports.js";
import { jsonLines, TINY_MODEL, tinyClients, writeTinyRun } from "../support/tiny.js";

const readReport = (out: string): Report => JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as Report;
const finite = (value: unknown): boolean => typeof value === "number" && Number.isFinite(value);
const partition = (groups: readonly (readonly string[])[], names: readonly string[]): void => {
  assert.deepEqual(groups.flat().toSorted(), names.toSorted());
  for (const group of groups) assert.ok(group.length > 0);
};

describe("kindred simulate on six clients in two planted groups", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());
  const clients = tinyClients();
  const names = clients.map(({ client }) => client);
  const out = join(folder.path, "out");
  const config = writeTinyRun(join(folder.path, "input"), clients, { seed: 5 });
  let ended: Ended;
  before(async () => {
    ended = await kindred(["simulate", config, "--out", out, "--json"]);
  });

  it("ends with exit code 0 and one JSON document on stdout, the report", () => {
    assert.equal(ended.code, 0, ended.stderr);
    assert.deepEqual(JSON.parse(ended.stdout), readReport(out));
    assert.equal(ended.stdout.indexOf("{"), 0);
    assert.ok(ended.stdout.endsWith("}\n"));
    assert.doesNotMatch(ended.stderr, /Warning:|^\s+at /m);
  });

  it("writes every field of the contract, each of its type", () => {
    const report = readReport(out);
    assert.deepEqual(report.clients, names);
    partition(report.groups, names);
    assert.equal(report.affinity.length, names.length);
    for (const row of report.affinity) assert.ok(row.length === names.length && row.every(finite));
    for (const method of ["base", "shared", "local", "kindred"] as const) {
      const result = report.methods[method];
      assert.ok(result, method);
      assert.deepEqual(Object.keys(result.clients).toSorted(), names);
      const scores = Object.values(result.clients);
      for (const { loss, accuracy } of scores) {
        assert.ok(finite(loss) && loss > 0);
        assert.ok(accuracy !== null && accuracy >= 0 && accuracy <= 1);
      }
      const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
      assert.ok(Math.abs(result.mean.loss - mean(scores.map(({ loss }) => loss))) < 1e-9);
      assert.ok(Math.abs((result.mean.accuracy ?? -1) - mean(scores.map((score) => score.accuracy ?? -1))) < 1e-9);
      const cost = report.cost[method];
      assert.ok(cost, method);
      for (const field of ["flops", "bytesUp", "bytesDown", "wallSeconds"] as const) {
        assert.ok(finite(cost[field]), `cost.${method}.${field}`);
        assert.ok(method === "base" || cost[field] > 0, `cost.${method}.${field}`);
      }
    }
    assert.ok(report.planted);
    const plantedGroups = [0, 1].map((group) => names.filter((_, at) => at % 2 === group));
    assert.deepEqual(report.planted.groups, plantedGroups);
    assert.ok(report.planted.adjustedRandIndex <= 1);
    assert.equal(report.learningRate, 0.03);
    assert.equal(report.seed, 5);
    for (const part of ["kindred", "node", "onnxruntime"]) assert.match(report.versions[part] ?? "", /^\d+\.\d+\.\d+/);
    assert.ok(report.peakRssBytes > 20e6);
    assert.deepEqual(report.faults, []);
  });

  it("has intervals of all scores, paired gains, estimates beside what was measured, answers and examples", () => {
    const report = readReport(out);
    for (const [method, result] of Object.entries(report.methods))
      for (const score of [...Object.values(result.clients), result.mean]) {
        for (const interval of [score.interval, score.accuracyInterval, score.macroF1Interval])
          assert.ok(interval && interval[0] <= interval[1], method);
        assert.ok(score.interval![0] <= score.loss && score.loss <= score.interval![1], method);
      }
    for (const method of ["base", "shared", "local"] as const) {
      const { value, interval } = report.gains![method]!.mean.loss;
      assert.ok(Math.abs(value - (report.methods[method]!.mean.loss - report.methods.kindred!.mean.loss)) < 1e-9);
      assert.ok(interval![0] <= value && value <= interval![1]);
    }
    assert.ok(report.forecasts!.mean.accuracy!.estimated > 0.5);
    assert.deepEqual(Object.keys(report.forecasts!.clients).toSorted(), names);
    const rows = clients.reduce((sum, { test }) => sum + test.length, 0);
    for (const table of Object.values(report.answers!.confusion))
      assert.equal(
        table.flat().reduce((sum, count) => sum + count, 0),
        rows,
      );
    assert.equal(report.examples!.all, rows);
    assert.ok(report.wallSeconds! > 0);
    for (const name of names) assert.ok(report.tokens![name]!.test > 8);
  });

  it("finds the planted groups, and serves their clients better than one shared adapter", () => {
    const { planted, methods } = readReport(out);
    assert.equal(planted?.adjustedRandIndex, 1);
    assert.ok((methods.kindred?.mean.loss ?? 9) < (methods.shared?.mean.loss ?? 0));
    assert.ok((methods.kindred?.mean.accuracy ?? 0) > (methods.shared?.mean.accuracy ?? 1));
  });

  it("comes to the same on TensorFlow.js", async () => {
    const other = join(folder.path, "tfjs");
    const { code, stderr } = await kindred(["simulate", config, "--out", other, "--device", "wasm"]);
    assert.equal(code, 0, stderr);
    const [onnx, tfjs] = [readReport(out), readReport(other)];
    assert.equal(tfjs.versions.runtime, "tfjs-wasm");
    assert.deepEqual(tfjs.groups, onnx.groups);
    for (const [method, { mean }] of Object.entries(onnx.methods)) {
      const { loss } = tfjs.methods[method as keyof Report["methods"]]!.mean;
      assert.ok(Math.abs(loss - mean.loss) <= 1e-3 * mean.loss, `${method}: ${loss}, should be ${mean.loss}`);
    }
  });

  it("writes a page that loads nothing", () => {
    const html = readFileSync(join(out, "report.html"), "utf8");
    assert.match(html, /^<!doctype html>/i);
    for (const name of names) assert.ok(html.includes(name));
    assert.doesNotMatch(html, /<(script|link|iframe|img|object|embed)\b[^>]*(src|href|data)\s*=\s*["']?(?!data:|#)/i);
    assert.doesNotMatch(html, /@import|url\(\s*["']?(?!data:|#)/i);
    assert.doesNotMatch(html, /\bfetch\(|XMLHttpRequest/);
  });

  it("is exported, its members as PEFT folders and its weights", async () => {
    const report = readReport(out);
    const exported = join(folder.path, "exported");
    const { code, stdout, stderr } = await kindred(["export", out, "--out", exported, "--json"]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), { members: report.members.map(({ name }) => name), tokenizer: true });
    const ensemble = JSON.parse(readFileSync(join(exported, "ensemble.json"), "utf8"));
    assert.deepEqual(Object.keys(ensemble), ["members", "weights", "rule"]);
    assert.deepEqual(ensemble.weights, report.weights);
    for (const name of ensemble.members) {
      const files = readdirSync(join(exported, "members", name)).toSorted();
      const tokenizer = ["tokenizer.json", "tokenizer_config.json"];
      assert.deepEqual(files, ["README.md", "adapter_config.json", "adapter_model.safetensors", ...tokenizer]);
    }
  });

  it("refuses a finished folder, and leaves it as it was", async () => {
    const before = readFileSync(join(out, "report.json"), "utf8");
    const again = await kindred(["simulate", config, "--out", out, "--json"]);
    assert.equal(again.code, 2);
    assert.equal(again.stdout, "");
    assert.match(again.stderr, /^kindred: [^\n]*out: holds a finished run[^\n]*--force[^\n]*\n$/);
    assert.equal(readFileSync(join(out, "report.json"), "utf8"), before);
  });

  it("does not replace it with --force where the new run cannot begin", async () => {
    const before = readFileSync(join(out, "report.json"), "utf8");
    const broken = writeTinyRun(join(folder.path, "broken"), [...clients, ...clients]);
    assert.equal((await kindred(["simulate", broken, "--out", out, "--force"])).code, 2);
    assert.equal(readFileSync(join(out, "report.json"), "utf8"), before);
  });

  it("replaces it with --force, and the same seed gives the same report but for times and memory", async () => {
    const before = readReport(out);
    const again = await kindred(["simulate", config, "--out", out, "--force"]);
    assert.equal(again.code, 0, again.stderr);
    assert.deepEqual(comparable(readReport(out)), comparable(before));
    // Without --json a person reads stdout.
    assert.match(again.stdout, /kindred/i);
    assert.throws(() => JSON.parse(again.stdout));
  });

  it("gives another report for another seed", async () => {
    const other = join(folder.path, "other");
    const changed = writeTinyRun(join(folder.path, "input-6"), clients, { seed: 6 });
    const run = await kindred(["simulate", changed, "--out", other]);
    assert.equal(run.code, 0, run.stderr);
    assert.notDeepEqual(readReport(other).methods.kindred, readReport(out).methods.kindred);
  });
});

describe("kindred simulate", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());

  it("refuses an unknown key by name before it reads any data", async () => {
    const config = join(folder.path, "unknown.yaml");
    writeFileSync(config, "model: nowhere\npopulation: nothing.jsonl\nestimation: {dims: 3}\n");
    const out = join(folder.path, "unknown");
    const { code, stdout, stderr } = await kindred(["simulate", config, "--out", out, "--json"]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(
      stderr,
      /^kindred: \S+unknown\.yaml:3: estimation\.dims: unknown option; did you mean estimation\.dim\?\n$/,
    );
    assert.ok(!existsSync(out), "nothing was written");
  });

  it("trains all weights of all clients together where that is compared, at a learning rate of its own", async () => {
    const clients = tinyClients({ clients: 4, groups: 1 });
    const options = { compare: ["base", "full"], training: { epochs: 6, learningRate: 0.03 } };
    const config = writeTinyRun(join(folder.path, "full"), clients, options);
    const out = join(folder.path, "full-out");
    const { code, stderr } = await kindred(["simulate", config, "--out", out]);
    assert.equal(code, 0, stderr);
    const { methods, cost, curves, full, sweep, learningRate, faults } = readReport(out);
    assert.deepEqual(Object.keys(methods), ["base", "full", "kindred"]);
    assert.ok(methods.full!.mean.loss < 0.5 * methods.base!.mean.loss, `${methods.full!.mean.loss}`);
    assert.deepEqual([sweep, learningRate, faults], [[], 0.03, []]);
    assert.ok(full!.sweep.length >= 3 && full!.sweep.some((trial) => trial.learningRate === full!.learningRate));
    assert.ok(curves.some(({ name, unit }) => name === "full" && unit === "round"));
    // Every round brings all weights of each client.
    assert.ok(cost.full!.bytesUp > 10 * cost.kindred!.bytesUp, `${cost.full!.bytesUp} ${cost.kindred!.bytesUp}`);
    assert.match(readFileSync(join(out, "report.html"), "utf8"), /For training all weights, which needs smaller steps/);
  });

  for (const adapter of [
    { kind: "lora", rank: 4, alpha: 8 },
    { kind: "houlsby", reduction: 4, activation: "gelu" },
    { kind: "pfeiffer", reduction: 4, dropout: 0.1, freezeA: false },
  ]) {
    it(`leaves out what is not compared, and exports what it scored: ${adapter.kind}`, async () => {
      const clients = tinyClients({ clients: 3 });
      // Weights that stay at the client's own group: its one member, exported, is then what was scored.
      const options = { adapter, compare: [], boosting: { rounds: 0 }, ensemble: { strength: 1e9 } };
      const config = writeTinyRun(join(folder.path, adapter.kind), clients, options);
      const out = join(folder.path, `${adapter.kind}-out`);
      const { code, stderr } = await kindred(["simulate", config, "--out", out]);
      assert.equal(code, 0, stderr);
      const { methods, cost, members, weights } = readReport(out);
      assert.deepEqual(Object.keys(methods), ["kindred"]);
      assert.deepEqual(Object.keys(cost), ["kindred"]);
      assert.ok((cost.kindred?.flops ?? 0) > 0);

      const exported = join(folder.path, `${adapter.kind}-exported`);
      assert.equal((await kindred(["export", out, "--out", exported])).code, 0);
      for (const { client, test } of clients) {
        const at = (weights[client] ?? []).findIndex((weight) => Math.abs(weight - 1) < 1e-4);
        const rows = join(folder.path, `${client}.jsonl`);
        writeFileSync(rows, jsonLines(test));
        const adapter = join(exported, "members", members[at]?.name ?? "none");
        const run = await kindred(["evaluate", "--model", TINY_MODEL, "--adapter", adapter, "--data", rows, "--json"]);
        assert.equal(run.code, 0, run.stderr);
        const score = JSON.parse(run.stdout);
        const reported = methods.kindred?.clients[client];
        assert.ok(Math.abs(score.loss - (reported?.loss ?? 0)) < 1e-3 * score.loss, `${score.loss} ${reported?.loss}`);
        assert.equal(score.accuracy, reported?.accuracy);
      }
    });
  }

  it("works for one client, for two, and for rows without choices", async () => {
    const plain = tinyClients({ clients: 2 }).map(({ client, train }) => ({
      client,
      train: train.map(({ prompt, completion }) => ({ prompt, completion })),
    }));
    for (const [label, population] of [
      ["one", tinyClients({ clients: 1 })],
      ["two", plain],
    ] as const) {
      const config = writeTinyRun(join(folder.path, label), population);
      const out = join(folder.path, `${label}-out`);
      const { code, stderr } = await kindred(["simulate", config, "--out", out]);
      assert.equal(code, 0, stderr);
      const report = readReport(out);
      partition(report.groups, report.clients);
      assert.equal(report.clients.length, population.length);
      const { loss, accuracy } = report.methods.kindred?.mean ?? {};
      assert.ok(finite(loss));
      assert.equal(accuracy === null, label === "two");
      assert.ok(readdirSync(out).includes("report.html"));
    }
  });
});
