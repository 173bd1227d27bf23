/** `kindred run rm`: what goes, what stays, what is refused. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { removedText, runRemoval } from "../../../cli/jobs/run-remove.js";
import { openState } from "../../../coordinator/storage/open.js";
import { temporaryFolder } from "../../support/federation.js";

const noLinks = process.platform === "win32" && "Windows lets few make links";

/** A folder of a test, with a `state` in it that has a blob, an upload under way and a memo. */
async function stateIn(t: TestContext, name = "state"): Promise<{ folder: string; state: string }> {
  const temporary = temporaryFolder();
  t.after(temporary.remove);
  const state = join(temporary.path, name);
  const opened = await openState(state);
  await opened.blobs.put(Buffer.alloc(5_000, 1));
  const upload = await opened.blobs.receive("task", { sha256: "ab".repeat(32), size: 10 });
  await upload.append(Buffer.alloc(5));
  await upload.suspend();
  await opened.records.saveMemo("key", "1");
  await opened.close();
  return { folder: temporary.path, state };
}

const sizes = (folder: string): number =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .reduce((sum, entry) => sum + readFileSync(join(entry.parentPath, entry.name)).length, 0);

test("a coordinator's state goes, with its result, and the folder with it", async (t) => {
  const { folder, state } = await stateIn(t);
  writeFileSync(join(state, "result.json"), "{}");
  writeFileSync(join(state, ".result.json.123-0a1b2c3d.tmp"), "cut");
  const bytes = sizes(state);
  const removal = await runRemoval(state);
  assert.equal(removal.kind, "coordinator's state");
  assert.equal(removal.amount.bytes, bytes);
  assert.ok(existsSync(state), "asking removes nothing");
  const removed = await removal.remove();
  assert.deepEqual([removed.removed, removed.bytes, removed.left, removed.links], [state, bytes, [], []]);
  assert.equal(removed.files, removal.amount.files);
  assert.deepEqual(readdirSync(folder), []);
});

test("what else is in the folder stays and is named", async (t) => {
  const { state } = await stateIn(t);
  mkdirSync(join(state, "mine"));
  writeFileSync(join(state, "mine", "notes.txt"), "keep");
  const removed = await (await runRemoval(state)).remove();
  assert.deepEqual(removed.left, ["mine"]);
  assert.equal(readFileSync(join(state, "mine", "notes.txt"), "utf8"), "keep");
  assert.match(
    removedText("the/run", removed),
    /^removed the\/run: \d+ files, [\d.]+ kB\nleft in the folder, not of the run: mine$/,
  );
  await assert.rejects(runRemoval(state), { code: "not_found" });
});

test("links in the folder are removed, never followed, and told", { skip: noLinks }, async (t) => {
  const { folder, state } = await stateIn(t);
  const elsewhere = join(folder, "elsewhere");
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, "precious"), "keep");
  symlinkSync(elsewhere, join(state, "damaged"));
  symlinkSync(join(elsewhere, "precious"), join(state, "blobs", "link"));
  const { links, bytes } = await (await runRemoval(state)).remove();
  assert.deepEqual(
    links.map(({ path, target }) => [path, target]),
    [
      [join(state, "blobs", "link"), join(elsewhere, "precious")],
      [join(state, "damaged"), elsewhere],
    ],
  );
  assert.ok(bytes < 1_000_000);
  assert.equal(readFileSync(join(elsewhere, "precious"), "utf8"), "keep");
  assert.deepEqual(readdirSync(folder), ["elsewhere"]);
});

test("a link to a run is refused", { skip: noLinks }, async (t) => {
  const { folder, state } = await stateIn(t);
  symlinkSync(state, join(folder, "latest"));
  const refused = { code: "invalid_option", message: /latest\/?: is a link; give the folder that it leads to$/ };
  await assert.rejects(runRemoval(join(folder, "latest")), refused);
  await assert.rejects(runRemoval(`${join(folder, "latest")}/`), refused);
});

test("a state that a coordinator holds is refused, also where it was taken after the question", async (t) => {
  const { state } = await stateIn(t);
  const asked = await runRemoval(state);
  const held = await openState(state);
  const refused = { code: "invalid_option", message: /: a process is at work on this run; stop it first/ };
  await assert.rejects(runRemoval(state), refused);
  await assert.rejects(asked.remove(), refused);
  assert.equal(await held.records.memo("key"), "1");
  await held.close();
  await asked.remove();
  assert.ok(!existsSync(state));
});

test("what is no state is refused and stays", async (t) => {
  const temporary = temporaryFolder();
  t.after(temporary.remove);
  const folders: Readonly<Record<string, (folder: string) => void>> = {
    empty: () => undefined,
    "another program's files": (folder) => writeFileSync(join(folder, "report.json"), "{}"),
    "another program's run.json": (folder) => writeFileSync(join(folder, "run.json"), '{"plan": "mine"}'),
  };
  for (const [name, fill] of Object.entries(folders)) {
    const folder = join(temporary.path, name);
    mkdirSync(folder);
    fill(folder);
    const before = readdirSync(folder);
    await assert.rejects(runRemoval(folder), { code: "not_found", message: /is no run; expected a state there/ }, name);
    assert.deepEqual(readdirSync(folder), before);
  }
  await assert.rejects(runRemoval(join(temporary.path, "missing")), { code: "not_found" });
});

test("of a simulation its state, its report and the files that it made go, and no others", async (t) => {
  const { folder } = await stateIn(t);
  mkdirSync(join(folder, "state", "clients", "0"), { recursive: true });
  writeFileSync(join(folder, "state", "clients", "0", "carried"), "rest");
  const run = { plan: "p", inputs: "i", files: ["population.jsonl", "../precious", ".", "state/../mine.csv"] };
  writeFileSync(join(folder, "run.json"), JSON.stringify(run));
  for (const name of ["report.html", "report.json", "clients.csv", "population.jsonl", "mine.csv"]) {
    writeFileSync(join(folder, name), "text");
  }
  const removal = await runRemoval(`${folder}/`);
  assert.equal(removal.kind, "simulation");
  assert.deepEqual((await removal.remove()).left, ["mine.csv"]);
  assert.deepEqual(readdirSync(folder), ["mine.csv"]);
});

test("of a simulation whose state is a link the link goes, and what it leads to stays", {
  skip: noLinks,
}, async (t) => {
  const { folder, state } = await stateIn(t, "big-disk");
  const run = join(folder, "run");
  mkdirSync(run);
  writeFileSync(join(run, "run.json"), '{"plan": "p", "inputs": "i"}');
  symlinkSync(state, join(run, "state"));
  const held = await openState(state);
  await assert.rejects(runRemoval(run), { code: "invalid_option", message: /a process is at work on this run/ });
  await held.close();
  const { links } = await (await runRemoval(run)).remove();
  assert.deepEqual(links, [{ path: join(run, "state"), target: state }]);
  assert.deepEqual(readdirSync(folder), ["big-disk"]);
  assert.ok(existsSync(join(state, "state.db")));
});
