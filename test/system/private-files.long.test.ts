/** What the processes of a deployment write is their owner's alone, also where the umask takes no rights away. */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import { temporaryFolder } from "../support/federation.js";
import { ProcessFederation } from "../support/process-federation.js";
import { openToOthers, WITHOUT_UMASK } from "../support/rights.js";
import { tinyClients } from "../support/tiny.js";

const skip = process.platform === "win32" && "Windows has no such rights";

it("a coordinator's state and a client's, also while they are at work, and of an older run", { skip }, async (t) => {
  const folder = temporaryFolder();
  const federation = new ProcessFederation(join(folder.path, "federation"), tinyClients({ clients: 2 }), {
    through: WITHOUT_UMASK,
  });
  t.after(() => {
    federation.stop();
    folder.remove();
  });
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
