/** What counts as a state where one is to be removed. `test/cli/jobs/run-remove.test.ts` has the rest. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import Database from "libsql";
import { openState, stateRemoval } from "../../../coordinator/storage/open.js";
import { temporaryFolder } from "../../support/federation.js";

function folderOf(t: TestContext): string {
  const folder = temporaryFolder();
  t.after(folder.remove);
  return folder.path;
}

test("a state of another version is removed", async (t) => {
  const folder = folderOf(t);
  await (await openState(folder)).close();
  const file = new Database(join(folder, "state.db"));
  file.exec("update schema_info set version = 1");
  file.close();
  await (await stateRemoval(folder)).remove();
  assert.ok(!existsSync(join(folder, "state.db")));
});

test("a state whose coordinator was killed before it made the tables is removed", async (t) => {
  const folder = folderOf(t);
  for (const name of ["state.db", "lock.db"]) writeFileSync(join(folder, name), "");
  assert.equal((await (await stateRemoval(folder)).remove()).files, 2);
  assert.ok(!existsSync(join(folder, "state.db")));
});

test("another program's database is no state", async (t) => {
  const folder = folderOf(t);
  const file = join(folder, "state.db");
  const database = new Database(file);
  database.exec("create table t (a)");
  database.close();
  mkdirSync(join(folder, "blobs"));
  await assert.rejects(stateRemoval(folder), { code: "not_found", message: /state\.db: holds no tables of Kindred$/ });
  writeFileSync(file, "this is no database, and long enough to be read as one".repeat(50));
  await assert.rejects(stateRemoval(folder), { code: "invalid_option", message: /is not a database of Kindred/ });
  assert.ok(existsSync(join(folder, "blobs")) && existsSync(file));
});

test("a state in memory goes with its process", async () => {
  await assert.rejects(stateRemoval("memory:kept"), { code: "unsupported", message: /is kept in no folder/ });
});
