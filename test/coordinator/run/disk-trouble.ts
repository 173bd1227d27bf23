/** What the coordinator's own disk does to runs in the tests of faults: it runs full, and it damages blobs. */
import assert from "node:assert/strict";
import { temporaryFolder } from "../../support/federation.js";
import type { Shortage } from "../../support/full-disk.js";
import { ALL_AT_ONCE, every, list } from "./adversity.js";
import { calm, eachOf, endsAsTheCalmRun } from "./calm.js";
import type { CaseName } from "./cases.js";
import type { BlobDamage } from "./lives-worker.js";

/** A disk that runs full so many times, each some writes after the last. */
export const shortAgainAndAgain = (count: number, writesBetween: number): Shortage[] =>
  Array.from({ length: count }, (_, at) => ({ write: 7 + at * writesBetween, attempts: 1 + (at % 4) }));

/** Holds a small case against its calm run where one of its writes finds the disk full. @param stride one write in so many is tried */
export async function endsWhicheverWriteIsShort(stride: number): Promise<void> {
  const { writes } = await calm("tiny");
  let short = 0;
  const tried = Math.floor(writes / stride);
  await eachOf(tried, 8, async (at) => {
    const write = 1 + at * stride;
    const run = await endsAsTheCalmRun("tiny", { shortages: [{ write, attempts: 3 }] }, `full at write ${write}`);
    if (run.shortOfRoom > 0) short++;
    assert.ok(run.shortOfRoom <= 3, `write ${write}`);
    assert.equal(run.told.filter((line) => /waits/.test(line)).length, Math.min(1, run.shortOfRoom), `write ${write}`);
  });
  // Nobody waits for the write of the run's last events.
  assert.ok(short >= tried - 1, `${short} of ${tried}`);
}

/** Holds a case against its calm run on a disk that runs full again and again, while all else happens. */
export async function endsShortAgainAndAgain(name: CaseName): Promise<void> {
  const shortages = shortAgainAndAgain(200, 23);
  const troubles = list(ALL_AT_ONCE);
  const run = await endsAsTheCalmRun(name, { shortages, troubles }, "short of room again and again");
  assert.ok(run.shortOfRoom > 10, `${name}: ${run.shortOfRoom}`);
  const deaths = every(20, 500, { moment: "unheard", powerCut: false });
  const killed = await endsAsTheCalmRun(name, { shortages, troubles, deaths }, "killed, too");
  assert.ok(killed.deaths > 5, `${name}: ${killed.deaths}`);
}

/** Holds a case against its calm run where all blobs are damaged whenever the coordinator has died. */
export async function endsWithDamagedBlobs(name: CaseName, how: BlobDamage["how"]): Promise<void> {
  const folder = temporaryFolder();
  try {
    const deaths = every(47, 12, { moment: "unheard", powerCut: false });
    const run = await endsAsTheCalmRun(name, { deaths, disk: { folder: folder.path, damage: { how } } }, how);
    assert.ok(run.deaths >= 2, `${name}: ${run.deaths} deaths`);
  } finally {
    folder.remove();
  }
}

/** Holds a small case against its calm run with one blob changed. @returns how often a blob was made again */
export async function endsWithOneChangedBlob(runs: number): Promise<number> {
  const { writes } = await calm("tiny");
  let repairs = 0;
  await eachOf(runs, 8, async (at) => {
    const folder = temporaryFolder();
    try {
      const write = 20 + Math.floor((at * (writes - 30)) / runs);
      const deaths = [{ write, moment: "unheard" as const, powerCut: false }];
      const disk = { folder: folder.path, damage: { how: "flip" as const, at: at * 11 } };
      const run = await endsAsTheCalmRun("tiny", { deaths, disk }, `blob ${at}`);
      repairs += run.told.filter((line) => /is lost/.test(line)).length;
    } finally {
      folder.remove();
    }
  });
  return repairs;
}
