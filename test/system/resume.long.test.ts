import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { temporaryFolder } from "../support/federation.js";
import { kindred, start } from "../support/processes.js";
import { comparable } from "../support/reports.js";
import { tinyClients, writeTinyRun } from "../support/tiny.js";

const readReport = (out: string): unknown => JSON.parse(readFileSync(join(out, "report.json"), "utf8"));

/** What the methods reach, without the bytes that they take. */
const scores = (out: string): unknown => (readReport(out) as { methods: unknown }).methods;

/** Tasks done in this process since `marker` was written (with --debug every task done is a line). */
function tasksSince(stderr: string, marker: RegExp): number {
  const at = stderr.search(marker);
  return at < 0 ? -1 : (stderr.slice(at).match(/debug task done/g)?.length ?? 0);
}

const kinds = (stderr: string, kind: string): number =>
  stderr.match(new RegExp(`task done .*kind=${kind}`, "g"))?.length ?? 0;

/** Moments of a run, in its order, each seen from what stderr holds. */
const MOMENTS: readonly { readonly during: string; readonly now: (stderr: string) => boolean }[] = [
  { during: "the sweep", now: (text) => tasksSince(text, /coordinator listens/) >= 3 },
  { during: "the shared adapter's training", now: (text) => tasksSince(text, /learning rate ended/) >= 2 },
  { during: "the local trainings", now: (text) => tasksSince(text, /train shared ended/) >= 1 },
  { during: "the sketching", now: (text) => kinds(text, "sketchGradients") >= 2 },
  { during: "the estimate", now: (text) => /sketch gradients ended/.test(text) },
  { during: "the groups' training", now: (text) => tasksSince(text, /search groups ended/) >= 4 },
  { during: "the boosting", now: (text) => tasksSince(text, /train groups ended/) >= 2 },
  { during: "the weighing", now: (text) => kinds(text, "fitWeights") >= 1 },
  { during: "the scoring", now: (text) => tasksSince(text, /weigh ended/) >= 7 },
];

/** With a server that remembers, so that what it remembers is resumed as well. */
const TRAINING = { epochs: 2, batch: 8, learningRate: "auto", strategy: { kind: "fedadam" } };

describe("kindred simulate, killed with SIGKILL again and again", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());
  const config = writeTinyRun(join(folder.path, "input"), tinyClients({ clients: 4 }), {
    training: TRAINING,
  });
  const whole = join(folder.path, "whole");
  const killed = join(folder.path, "killed");
  before(async () => {
    const { code, stderr } = await kindred(["simulate", config, "--out", whole]);
    assert.equal(code, 0, stderr);
  });

  for (const { during, now } of MOMENTS) {
    it(`dies during ${during}, no report written`, async () => {
      const run = start(["simulate", config, "--out", killed, "--debug"]);
      await run.seen(now);
      run.kill("SIGKILL");
      const { signal } = await run.end;
      assert.equal(signal, "SIGKILL");
      assert.ok(!existsSync(join(killed, "report.json")));
    });
  }

  it("refuses another configuration in the unfinished folder", async () => {
    const other = writeTinyRun(join(folder.path, "input"), tinyClients({ clients: 4 }), { seed: 1, title: "run" });
    const { code, stderr } = await kindred(["simulate", other, "--out", killed]);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^kindred: \S*killed: holds an unfinished run of another configuration: [a-zA-Z.]+ is [^\n]+ there and [^\n]+ here;[^\n]*--force[^\n]*\n$/,
    );
  });

  it("refuses to go on where the rows have changed", async () => {
    const changed = tinyClients({ clients: 4, seed: 2 });
    writeTinyRun(join(folder.path, "input"), changed, { training: TRAINING });
    const { code, stderr } = await kindred(["simulate", config, "--out", killed, "--quiet"]);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^kindred: \S*killed: holds an unfinished run on other rows; choose another --out[^\n]*--force[^\n]*\n$/,
    );
  });

  it("ends, run once more, with the report of an uninterrupted run, bytes and operations included", async () => {
    writeTinyRun(join(folder.path, "input"), tinyClients({ clients: 4 }), {
      training: TRAINING,
    });
    const { code, stderr } = await kindred(["simulate", config, "--out", killed]);
    assert.equal(code, 0, stderr);
    assert.match(stderr, /resuming/);
    assert.deepEqual(comparable(readReport(killed)), comparable(readReport(whole)));
  });
});

describe("kindred simulate with int8 updates, killed with SIGKILL", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());
  const run = (name: string, compression: string): string =>
    writeTinyRun(join(folder.path, name), tinyClients({ clients: 4 }), {
      training: { epochs: 3, batch: 4, learningRate: 0.03, localSteps: 1 },
      transport: { compression },
      compare: ["shared"],
    });

  it("ends with the report of an uninterrupted run: errors are carried over from where they were kept", async () => {
    const config = run("int8", "int8");
    const [whole, killed] = [join(folder.path, "whole"), join(folder.path, "killed")];
    assert.equal((await kindred(["simulate", config, "--out", whole])).code, 0);
    for (const done of [9, 14, 11, 17]) {
      const attempt = start(["simulate", config, "--out", killed, "--debug"]);
      await attempt.seen((text) => kinds(text, "trainAdapter") >= done);
      attempt.kill("SIGKILL");
      assert.equal((await attempt.end).signal, "SIGKILL");
      assert.ok(!existsSync(join(killed, "report.json")));
    }
    const { code, stderr } = await kindred(["simulate", config, "--out", killed]);
    assert.equal(code, 0, stderr);
    assert.deepEqual(comparable(readReport(killed)), comparable(readReport(whole)));
    // Control: another compression gives another report.
    const plain = join(folder.path, "plain");
    assert.equal((await kindred(["simulate", run("none", "none"), "--out", plain])).code, 0);
    assert.notDeepEqual(scores(plain), scores(whole));
  });
});

describe("kindred simulate, stopped by Ctrl-C", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());

  it("exits with 130, says how to resume, and resumes", async () => {
    const config = writeTinyRun(join(folder.path, "input"), tinyClients({ clients: 3 }));
    const out = join(folder.path, "out");
    const args = ["simulate", config, "--out", out];
    const run = start([...args, "--debug"]);
    await run.seen((text) => tasksSince(text, /coordinator listens/) >= 4);
    run.kill("SIGINT");
    const { code, stdout } = await run.end;
    assert.equal(code, 130);
    assert.equal(stdout, "");

    const quiet = start(args);
    await quiet.seen(/resuming/);
    await quiet.seen(/ info train shared: /);
    quiet.kill("SIGINT");
    const stopped = await quiet.end;
    assert.equal(stopped.code, 130, stopped.stderr);
    assert.match(
      stopped.stderr,
      /^kindred: stopped; to resume, run again: kindred simulate \S+run\.yaml --out \S+out$/m,
    );
    assert.doesNotMatch(stopped.stderr, /^\s+at /m);
    assert.ok(!existsSync(join(out, "report.json")));

    const { code: last, stderr } = await kindred(args);
    assert.equal(last, 0, stderr);
    const fresh = join(folder.path, "fresh");
    assert.equal((await kindred(["simulate", config, "--out", fresh])).code, 0);
    assert.deepEqual(comparable(readReport(out)), comparable(readReport(fresh)));
  });
});
