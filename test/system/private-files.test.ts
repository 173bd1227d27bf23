/** What commands write is their user's alone, also where the umask takes no rights away. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { Commands } from "../support/commands.js";
import { temporaryFolder } from "../support/federation.js";
import { openToOthers } from "../support/rights.js";
import { TINY_MODEL, tinyClients, writeTinyRun } from "../support/tiny.js";

const skip = process.platform === "win32" && "Windows has no such rights";

describe("files are their owner's alone", { skip }, () => {
  const folder = temporaryFolder();
  process.umask(0); // the commands' process has it too
  const commands = new Commands();
  after(() => {
    commands.close();
    folder.remove();
  });

  const succeeds = async (...words: readonly string[]): Promise<void> => {
    const { code, stderr } = await commands.run(words);
    assert.equal(code, 0, stderr);
  };

  it("positive control: a program that does not care leaves files that others can read", () => {
    const careless = join(folder.path, "careless");
    mkdirSync(join(careless, "deep"), { recursive: true });
    writeFileSync(join(careless, "deep", "file"), "");
    assert.deepEqual(openToOthers(careless), [". 777", "deep 777", "deep/file 666"]);
  });

  it("a simulation's folder, in a folder that was there, and what is made from it", async () => {
    const options = { transport: { compression: "int8" }, training: { epochs: 1, batch: 8, learningRate: 0.03 } };
    const config = writeTinyRun(folder.path, tinyClients({ clients: 2 }), options);
    const out = join(folder.path, "run");
    mkdirSync(out);
    chmodSync(out, 0o755);
    await succeeds("simulate", config, "--out", out);
    for (const name of ["report.html", "state"]) assert.ok(readdirSync(out).includes(name));
    assert.deepEqual(readdirSync(join(out, "state", "clients", "0")).sort(), ["carried", "test-rows-adapters.json"]);
    assert.deepEqual(openToOthers(out), []);

    const members = join(folder.path, "export");
    await succeeds("export", out, "--out", members);
    const sketches = join(folder.path, "sketches");
    await succeeds("gradients", config, "--out", sketches);
    const answers = join(folder.path, "answers");
    const rows = join(folder.path, "rows.jsonl");
    writeFileSync(rows, '{"prompt": "the rain was good", "completion": " yes", "choices": [" yes", " no"]}\n');
    await succeeds("predict", "--model", TINY_MODEL, "--data", rows, "--out", join(answers, "answers.jsonl"));
    for (const made of [members, sketches, answers]) assert.deepEqual(openToOthers(made), []);
  });
});
