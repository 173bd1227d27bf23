import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { ConnectionDoubt } from "../../../client/session/doubt.js";
import { KindredError } from "../../../shared/base/errors.js";
import { silentLog } from "../../../shared/base/log.js";

const AWAY = new KindredError("unavailable", "no connection", { status: "UNAVAILABLE" });
const WRONG = { message: "its certificate is for harbour, not pier", mayPass: false };

/** A client's doubt where each look finds the next of the list, and then its last one. */
function doubtOf(...looks: ({ message: string; mayPass: boolean } | undefined)[]) {
  const said: string[] = [];
  let looked = 0;
  const warn = (_: string, fields?: object): void => void said.push((fields as { reason: string }).reason);
  const doubt = new ConnectionDoubt({
    find: async () => looks[Math.min(looked++, looks.length - 1)],
    address: "pier:1",
    log: { ...silentLog, warn },
  });
  /** @returns the attempt with which the tries end; undefined where they go on */
  const endsWith = async (attempts: number, error = AWAY): Promise<number | undefined> => {
    for (let attempt = 1; attempt <= attempts; attempt++) {
      try {
        await doubt.examine(error, attempt);
      } catch (thrown) {
        assert.ok(thrown instanceof KindredError && thrown.code === "invalid_option");
        assert.equal(thrown.message, `coordinator pier:1: ${said.at(-1)?.replace("coordinator pier:1: ", "")}`);
        return attempt;
      }
    }
    return undefined;
  };
  return { doubt, endsWith, said, looks: () => looked };
}

describe("a client that cannot reach its coordinator", () => {
  it("ends once it has found the same mistake three times, and has said it once", async () => {
    const { endsWith, said } = doubtOf(WRONG);
    assert.equal(await endsWith(100), 4);
    assert.deepEqual(said, [`coordinator pier:1: ${WRONG.message}`]);
  });

  it("goes on where there is no mistake, or another one each time", async () => {
    assert.equal(await doubtOf(undefined).endsWith(100), undefined);
    assert.equal(await doubtOf(WRONG, WRONG, undefined, WRONG, WRONG, undefined).endsWith(100), undefined);
  });

  it("gives a name that is not known about a minute", async () => {
    const { endsWith } = doubtOf({ message: "no host is called pier", mayPass: true });
    assert.equal(await endsWith(100), 26);
  });

  it("waits, and says why, once it has been enrolled", async () => {
    const { doubt, endsWith, said, looks } = doubtOf(WRONG);
    doubt.connected();
    assert.equal(await endsWith(200), undefined);
    assert.equal(said.length, 1);
    assert.equal(looks(), 20);
  });

  it("does not look where the coordinator itself has answered", async () => {
    const { endsWith, looks } = doubtOf(WRONG);
    assert.equal(await endsWith(100, new KindredError("unavailable", "the coordinator is closing")), undefined);
    assert.equal(await endsWith(100, new KindredError("state_unavailable", "its disk is full")), undefined);
    assert.equal(looks(), 0);
  });
});
