/** Where the demo runs unless it is told: never in the place of a run that is there. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { runRemoval } from "../../../cli/jobs/run-remove.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { freeFolder, runDemo } from "../../../simulations/demo/demo.js";
import { temporaryFolder } from "../../support/federation.js";

const context = { log: silentLog, progress: silentProgress, signal: AbortSignal.abort() };

test("the demo takes a free folder, resumes its own run, and goes beside any other", async (t) => {
  const temporary = temporaryFolder();
  t.after(temporary.remove);
  const folder = join(temporary.path, "demo");
  assert.equal(await freeFolder(folder, 0), folder);
  await assert.rejects(runDemo({ seed: 0, out: folder, force: false, ...context }));
  assert.ok(existsSync(join(folder, "population.jsonl")));
  assert.equal(await freeFolder(folder, 0), folder);
  assert.equal(await freeFolder(folder, 1), `${folder}-2`);
  writeFileSync(join(folder, "report.json"), "{}");
  assert.equal(await freeFolder(folder, 0), `${folder}-2`);
  mkdirSync(`${folder}-2`);
  writeFileSync(join(`${folder}-2`, "population.jsonl"), "somebody's rows");
  assert.equal(await freeFolder(folder, 0), `${folder}-3`);
  assert.deepEqual((await (await runRemoval(folder)).remove()).left, []);
  assert.deepEqual(readdirSync(temporary.path), ["demo-2"]);
});

test("a demo in a folder that holds a finished run, or somebody's rows, changes nothing there", async (t) => {
  const temporary = temporaryFolder();
  t.after(temporary.remove);
  const run = { seed: 0, out: temporary.path, force: false, ...context };
  writeFileSync(join(temporary.path, "population.jsonl"), "somebody's rows");
  const refused = {
    code: "already_exists",
    message: /population\.jsonl: is there, but of no run; choose another --out/,
  };
  await assert.rejects(runDemo(run), refused);
  await assert.rejects(runDemo({ ...run, force: true }), refused);
  writeFileSync(join(temporary.path, "run.json"), '{"plan": "p", "inputs": "i"}');
  await assert.rejects(runDemo({ ...run, force: true }), refused);
  assert.deepEqual(readdirSync(temporary.path), ["population.jsonl", "run.json"]);
});
