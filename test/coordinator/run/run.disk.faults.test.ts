/** A run with trouble of the coordinator's own disk waits, or makes again what is lost, and ends as a calm one. No client is blamed. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { temporaryFolder } from "../../support/federation.js";
import { calm, endsAsTheCalmRun } from "./calm.js";
import {
  endsWhicheverWriteIsShort,
  endsWithDamagedBlobs,
  endsWithOneChangedBlob,
  shortAgainAndAgain,
} from "./disk-trouble.js";

/** At five seconds each longer than a client may be silent, and than it may be without progress. */
const LONG_ATTEMPTS = 200;

describe("a run on a full disk ends as the calm one", () => {
  it("whichever of its writes is the first without room", async () => {
    const { shortOfRoom, told } = await calm("tiny");
    assert.deepEqual([shortOfRoom, told], [0, []]);
    await endsWhicheverWriteIsShort(17);
  });

  it("after a quarter of an hour, which counts against no client and fills no log", async () => {
    const run = await endsAsTheCalmRun("tiny", { shortages: [{ write: 90, attempts: LONG_ATTEMPTS }] });
    assert.equal(run.shortOfRoom, LONG_ATTEMPTS);
    assert.ok(run.told.length >= 3 && run.told.length < 12, run.told.join("\n"));
  });

  it("in SQLite and in files", async (t) => {
    const folder = temporaryFolder();
    t.after(() => folder.remove());
    const run = await endsAsTheCalmRun("tiny", {
      shortages: shortAgainAndAgain(100, 11),
      disk: { folder: folder.path },
    });
    assert.ok(run.shortOfRoom > 20, `${run.shortOfRoom}`);
  });
});

describe("a run whose blobs are damaged ends as the calm one", () => {
  it("with every blob changed after each of a few deaths", () => endsWithDamagedBlobs("tiny", "flip"));
  it("with one blob changed", async () => assert.ok((await endsWithOneChangedBlob(14)) >= 1));
});
