import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { openState, readState, stateInUse } from "../../../coordinator/storage/open.js";
import { KindredError } from "../../../shared/base/errors.js";
import { inEachPlace } from "../../support/states.js";

const inUse = (error: unknown) =>
  error instanceof KindredError && error.code === "invalid_option" && /in use by another process/.test(error.message);

inEachPlace((place, state, remove) => {
  describe(`the lease of a state in ${place}`, () => {
    before(() => state.open());
    after(remove);

    it("is one coordinator's: a second one is refused, however often it asks", async () => {
      for (let i = 0; i < 3; i++) await assert.rejects(openState(state.url), inUse);
      await state.now.records.saveMemo("held", "1");
      assert.equal(await state.now.records.memo("held"), "1");
    });

    it("is free once the coordinator has closed the state, and then the next one's", async () => {
      await state.close();
      const next = await openState(state.url);
      await assert.rejects(openState(state.url), inUse);
      await next.close();
      await state.open();
    });

    it("is seen by others while it is held, and only then", async () => {
      assert.equal(await stateInUse(state.url), true);
      await state.close();
      assert.equal(await stateInUse(state.url), false);
      await state.open();
      assert.equal(await stateInUse(state.url), true);
    });

    it("is not needed to read, and not taken by it", async () => {
      const reader = await readState(state.url);
      assert.equal(await reader.records.memo("held"), "1");
      await state.reopened();
      assert.equal(await reader.records.memo("held"), "1");
      await state.now.records.saveMemo("held", "2");
      assert.equal(await reader.records.memo("held"), "2");
      await reader.close();
    });
  });
});
