/** As run.disk.faults.test.ts, at every write and with every kind of damage. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  endsShortAgainAndAgain,
  endsWhicheverWriteIsShort,
  endsWithDamagedBlobs,
  endsWithOneChangedBlob,
} from "./disk-trouble.js";

describe("a run on a full disk ends as the calm one", () => {
  it("whichever of its writes is the first without room", () => endsWhicheverWriteIsShort(1));
  for (const name of ["small", "twoFaults", "int8"] as const)
    it(`again and again, while messages are lost and the coordinator dies: ${name}`, () =>
      endsShortAgainAndAgain(name));
});

describe("a run whose blobs are damaged ends as the calm one", () => {
  for (const how of ["flip", "cut", "remove"] as const)
    it(`all of them: ${how}`, () => endsWithDamagedBlobs("int8", how));
  it("one of them, whichever it is and whenever the coordinator dies", async () =>
    assert.ok((await endsWithOneChangedBlob(40)) > 5));
});
