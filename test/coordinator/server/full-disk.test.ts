/** A coordinator and a client on a disk that is really full: a small file system in memory, which root alone may mount. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { runCondition } from "../../../cli/jobs/run-show.js";
import { serveCoordinator } from "../../../coordinator/server/server.js";
import { type Pause, StateGuard } from "../../../coordinator/storage/guard.js";
import { openState } from "../../../coordinator/storage/open.js";
import { KindredError } from "../../../shared/base/errors.js";
import { type Logger, silentLog } from "../../../shared/base/log.js";
import { adapterBytes, clientOf, IDENTITY, incremented, temporaryFolder, trainTask } from "../../support/federation.js";

/** Why no file system can be mounted here. */
function cannotMount(): string | false {
  if (process.platform !== "linux" || process.getuid?.() !== 0) return "only root on Linux mounts a file system";
  const folder = temporaryFolder();
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder.path], { stdio: "pipe" });
    execFileSync("umount", [folder.path]);
    return false;
  } catch (error) {
    return `this machine lets root mount nothing (${(error as Error).message.split("\n")[0]})`;
  } finally {
    folder.remove();
  }
}

const skip = cannotMount();

/** A disk of this size, which `fill` leaves no room on. */
function smallDisk(t: TestContext, kib: number) {
  const folder = temporaryFolder();
  const path = join(folder.path, "disk");
  mkdirSync(path);
  execFileSync("mount", ["-t", "tmpfs", "-o", `size=${kib}k`, "tmpfs", path]);
  t.after(() => {
    execFileSync("umount", ["-l", path]);
    folder.remove();
  });
  const filler = join(path, "filler");
  return {
    path,
    fill: () => {
      const { bavail, bsize } = statfsSync(path);
      writeFileSync(filler, Buffer.alloc(bavail * bsize));
    },
    free: () => rmSync(filler),
  };
}

/** A log that keeps its lines. */
function keeping(): { readonly log: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const say = (message: string, fields?: object): void => void lines.push(`${message} ${JSON.stringify(fields ?? {})}`);
  const log: Logger = { ...silentLog, warn: say, info: say, error: say, child: () => log };
  return { log, lines };
}

const until = async (holds: () => boolean): Promise<void> => {
  while (!holds()) await sleep(10);
};

test("on a full disk a task waits, both sides say so, and it is done once there is room", { skip }, async (t) => {
  const disk = smallDisk(t, 4_096);
  const opened = await openState(join(disk.path, "state"));
  const [coordinator, client] = [keeping(), keeping()];
  const pauses: Pause[] = [];
  const guard = new StateGuard(opened, { waits: true, log: coordinator.log, onPause: (pause) => pauses.push(pause) });
  const { state } = guard;
  const server = await serveCoordinator({ listen: "127.0.0.1:0", state, guard, identity: IDENTITY, log: silentLog });
  const session = clientOf(server.address, "ada", { log: client.log });
  t.after(async () => {
    await session.stop();
    await server.close();
    await opened.close();
  });
  const bytes = adapterBytes(300_000, "start");
  const start = await server.pool.putBlob(bytes);
  assert.ok((await server.pool.run("before", "ada", trainTask(start, 1))).ok);

  disk.fill();
  const waits = server.pool.run("on the full disk", "ada", trainTask(start, 2));
  await until(() => client.lines.some((line) => /trouble of its own/.test(line)));
  assert.equal(await Promise.race([waits.then(() => "done"), sleep(2_000, "waits")]), "waits");
  assert.deepEqual(
    pauses.map(({ paused }) => paused),
    [true],
  );
  assert.match(coordinator.lines.join("\n"), /the run waits.*no room left on its disk/);
  const said = client.lines.find((line) => /trouble of its own/.test(line)) ?? "";
  assert.match(said, /the coordinator has no room left on its disk; nothing is lost/);
  assert.ok(!said.includes(disk.path), "clients learn no path of the coordinator's");

  const { status } = await runCondition(join(disk.path, "state"));
  assert.equal(status, "paused");

  disk.free();
  const outcome = await waits;
  assert.ok(outcome.ok && outcome.result.kind === "trainAdapter");
  assert.deepEqual(new Uint8Array(await server.pool.getBlob(outcome.result.values)), incremented(bytes));
  assert.deepEqual(
    pauses.map(({ paused }) => paused),
    [true, false],
  );
  const { lines } = coordinator;
  assert.equal(lines.filter((line) => /the run (waits|goes on)/.test(line)).length, 2, lines.join("\n"));
});

test("a run that does not wait ends with the reason, and what was stored is there", { skip }, async (t) => {
  const disk = smallDisk(t, 2_048);
  const folder = join(disk.path, "state");
  const opened = await openState(folder);
  const guard = new StateGuard(opened, { waits: false, log: silentLog });
  await guard.state.records.saveMemo("before", "1");
  disk.fill();
  await assert.rejects(
    async () => {
      for (let i = 0; i < 100; i++) await guard.state.records.saveMemo(`memo ${i}`, JSON.stringify("x".repeat(10_000)));
    },
    (error) => error instanceof KindredError && error.code === "state_unavailable" && /free space/.test(error.message),
  );
  assert.equal((guard.failed.reason as KindredError).code, "state_unavailable");
  await assert.rejects(guard.state.blobs.put(new Uint8Array(100_000)), { code: "state_unavailable" });
  await opened.close();
  disk.free();
  const again = await openState(folder);
  assert.equal(await again.records.memo("before"), "1");
  await again.close();
});
