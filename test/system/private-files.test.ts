/** What Kindred writes is its owner's alone, also where the umask takes no rights away. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { temporaryFolder } from "../support/federation.js";
import { ProcessFederation } from "../support/process-federation.js";
import { kindred } from "../support/processes.js";
import { openToOthers, WITHOUT_UMASK } from "../support/rights.js";
import { TINY_MODEL, tinyClients, writeTinyRun } from "../support/tiny.js";

const through = WITHOUT_UMASK;
const skip = process.platform === "win32" && "Windows has no such rights";

describe("files are their owner's alone", { skip }, () => {
  const folder = temporaryFolder();
  after(folder.remove);

  const succeeds = async (...words: readonly string[]): Promise<void> => {
    const { code, stderr } = await kindred(words, { through });
    assert.equal(code, 0, stderr);
  };

  it("positive control: a program that does not care leaves files that others can read", () => {
    const careless = join(folder.path, "careless");
    spawnSync(through[0], [
      ...through.slice(1),
      "sh",
      "-c",
      `mkdir -p "${careless}/deep" && echo > "${careless}/deep/file"`,
    ]);
    assert.deepEqual(openToOthers(careless), [". 777", "deep 777", "deep/file 666"]);
  });

  it("a simulation's folder, in a folder that was there, and what is made from it", async () => {
    const config = writeTinyRun(folder.path, tinyClients({ clients: 3 }), { transport: { compression: "int8" } });
    const out = join(folder.path, "run");
    mkdirSync(out);
    chmodSync(out, 0o755);
    await succeeds("simulate", config, "--out", out);
    for (const name of ["report.html", "state"]) assert.ok(readdirSync(out).includes(name));
    assert.deepEqual(readdirSync(join(out, "state", "clients", "0")), ["carried"]);
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

  it("a coordinator's state and a client's, also while they are at work, and of an older run", async (t) => {
    const federation = new ProcessFederation(join(folder.path, "federation"), tinyClients({ clients: 2 }), { through });
    t.after(() => federation.stop());
    const { state } = federation;
    // As a version before these rights left them.
    mkdirSync(join(state, "blobs"), { recursive: true });
    chmodSync(state, 0o700);
    chmodSync(join(state, "blobs"), 0o755);
    for (const name of ["state.db", "lock.db"]) writeFileSync(join(state, name), "", { mode: 0o644 });
    const coordinator = await federation.coordinator();
    await coordinator.seen(/waiting for clients/);
    assert.ok(readdirSync(state).includes("state.db-wal"), "the database's log is among the files");
    assert.deepEqual(openToOthers(state), []);
    const clients = [federation.client("c0"), federation.client("c1")];
    for (const { code, stderr } of await Promise.all([coordinator.end, ...clients.map(({ end }) => end)])) {
      assert.equal(code, 0, stderr);
    }
    assert.ok(readdirSync(join(federation.stateOf("c0"))).includes("ensemble"));
    for (const place of [state, federation.stateOf("c0"), federation.stateOf("c1")]) {
      assert.deepEqual(openToOthers(place), []);
    }
  });
});
