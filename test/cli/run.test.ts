/** `kindred run show` and `kindred run logs` in other processes, beside a coordinator that holds the state. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { EventLog } from "../../coordinator/events/events.js";
import { openState } from "../../coordinator/storage/open.js";
import type { State } from "../../coordinator/storage/types.js";
import { Commands } from "../support/commands.js";
import { IDENTITY, temporaryFolder } from "../support/federation.js";
import { start } from "../support/processes.js";

const folder = temporaryFolder();
const run = join(folder.path, "run");
const commands = new Commands();
const rows = { train: 40, validation: 8, test: 12 };
let state: State;
let events: EventLog;

before(async () => {
  // As a simulation keeps it: in a folder of its run.
  state = await openState(join(run, "state"));
  const modelHash = "ab".repeat(32);
  await state.records.saveClient({
    name: "ada",
    instanceHash: "i",
    tokenHash: "t",
    identity: { ...IDENTITY, modelHash },
    rows,
  });
  events = new EventLog(state.records);
  events.emit({ type: "client-enrolled", client: "ada", as: "new", rows });
  events.emit({ type: "run-started", model: "the/model", clients: [{ name: "ada", rows }] });
  events.emit({ type: "stage-began", stage: "sketch", total: 3 });
  events.emit({ type: "stage-advanced", stage: "sketch", done: 1, info: { clients: "1/3" } });
  events.emit({ type: "fault", client: "eve\u001b[2J", stage: "sketch", message: "silent\nfor long" });
  await events.flush();
});

after(async () => {
  commands.close();
  await state.close();
  folder.remove();
});

test("show says what a run under way is, beside its coordinator", async () => {
  const { code, stdout, stderr } = await commands.run(["run", "show", run]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^run: under way$/m);
  assert.match(stdout, /^model: the\/model, sha256 (ab){32}$/m);
  assert.match(stdout, /^clients: 1, 1 in the run, 1 enrolled$/m);
  assert.match(stdout, /^ {2}ada: 40 training, 8 validation, 12 test rows$/m);
  assert.match(stdout, /^stage: sketch, 33 %, clients 1\/3$/m);
  assert.match(stdout, /^groups: not found yet$/m);
  assert.match(stdout, /^ {2}eve\ufffd\[2J in sketch: silent for long$/m);
  // The state's own folder, given as an option.
  const json = JSON.parse((await commands.run(["run", "show", "--state", join(run, "state"), "--json"])).stdout);
  assert.equal(json.status, "running");
  assert.equal(json.modelHash, "ab".repeat(32));
  assert.deepEqual(json.stages, [{ stage: "sketch", done: 1, total: 3, info: { clients: "1/3" } }]);
});

test("logs prints the events so far, one per line, from a position on, as text or as JSON", async () => {
  const { code, stdout, stderr } = await commands.run(["run", "logs", run]);
  assert.equal(code, 0, stderr);
  const lines = stdout.trimEnd().split("\n");
  assert.equal(lines.length, 5);
  lines.forEach((line, at) => {
    assert.match(line, new RegExp(`^\\d{4}-\\d\\d-\\d\\d \\d\\d:\\d\\d:\\d\\d ${at + 1} [^\\p{Cc}]+$`, "u"));
  });
  const json = (await commands.run(["run", "logs", run, "--from", "4", "--json"])).stdout.trimEnd().split("\n");
  const read = json.map((line) => JSON.parse(line) as { seq: number; type: string });
  assert.deepEqual(
    read.map(({ seq, type }) => [seq, type]),
    [
      [4, "stage-advanced"],
      [5, "fault"],
    ],
  );
});

test("rm without a terminal to ask on needs --yes, and refuses a run that a process is at work on", async () => {
  const other = join(folder.path, "other");
  await (await openState(other)).close();
  const unasked = await commands.run(["run", "rm", other]);
  assert.equal(unasked.code, 2);
  assert.match(
    unasked.stderr,
    /^kindred: remove [^\n]*other \(coordinator's state, \d+ files, [^\n]*; add --yes [^\n]*\n$/,
  );
  assert.ok(existsSync(join(other, "state.db")));
  const held = await commands.run(["run", "rm", run, "--yes"]);
  assert.equal(held.code, 2);
  assert.match(held.stderr, /^kindred: [^\n]*: a process is at work on this run; [^\n]*\n$/);
  const { code, stdout, stderr } = await commands.run(["run", "rm", "--state", other, "--yes", "--json"]);
  assert.equal(code, 0, stderr);
  assert.equal(JSON.parse(stdout).removed, other);
  assert.ok(!existsSync(other));
});

test("a folder without a run is the user's mistake", async () => {
  for (const action of ["show", "logs", "rm"]) {
    const { code, stdout, stderr } = await commands.run(["run", action, folder.path]);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    assert.match(stderr, /^kindred: .*: is no run[^\n]*\n$/);
  }
});

test("Ctrl-C ends following with 130; the run's end ends it with 0 and the last line is there", async () => {
  const followed = start(["run", "logs", run, "--follow", "--from", "6", "--json"]);
  const program = fileURLToPath(new URL("../../kindred.js", import.meta.url));
  const stopped = spawn(process.execPath, [program, "run", "logs", run, "--follow", "--from", "5"], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let words = "";
  stopped.stderr.on("data", (chunk) => {
    words += chunk;
  });
  const ended = once(stopped, "close");
  // A process takes signals once its job runs, and its first line says that it does.
  const [line] = await once(stopped.stdout, "data");
  assert.match(String(line), / 5 warning: /);
  stopped.kill("SIGINT");
  assert.deepEqual(await ended, [130, null]);
  assert.match(words, /^kindred: stopped$/m);
  events.emit({ type: "stage-ended", stage: "sketch" });
  events.emit({ type: "run-finished", groups: 1, members: 1 });
  await events.flush();
  const { code, stdout, stderr } = await followed.end;
  assert.equal(code, 0, stderr);
  assert.deepEqual(
    stdout
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { type: string }).type),
    ["stage-ended", "run-finished"],
  );
});
