import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";
import { Journal } from "../../../coordinator/run/journal.js";
import { openState } from "../../../coordinator/storage/open.js";
import { KindredError } from "../../../shared/base/errors.js";
import { temporaryFolder } from "../../support/federation.js";

async function journalIn(folder: string, t: TestContext) {
  const state = await openState(folder);
  let open = true;
  const close = async () => {
    if (open) await state.close();
    open = false;
  };
  t.after(close);
  return { journal: new Journal(state.records), close };
}

describe("a journal", () => {
  it("runs a step once, in this process and the next", async (t) => {
    const folder = temporaryFolder();
    let runs = 0;
    const work = async () => ({ run: ++runs, blob: { sha256: "ab", size: 3 }, nested: [1.5, null, "x", true] });
    const first = await journalIn(folder.path, t);
    const made = await first.journal.step("a", work);
    assert.deepEqual(await first.journal.step("a", work), made);
    await first.close();
    const second = await journalIn(folder.path, t);
    t.after(() => folder.remove());
    assert.deepEqual(await second.journal.step("a", work), made);
    assert.equal(runs, 1);
    assert.equal((await second.journal.step("b", work)).run, 2);
  });

  it("shares a step that is under way", async (t) => {
    const folder = temporaryFolder();
    const { journal } = await journalIn(folder.path, t);
    t.after(() => folder.remove());
    let runs = 0;
    const work = async () => {
      await new Promise((resolve) => setTimeout(resolve, 20));
      return ++runs;
    };
    assert.deepEqual(
      await Promise.all([journal.step("a", work), journal.step("a", work), journal.step("a", work)]),
      [1, 1, 1],
    );
  });

  it("stores no failure: the step runs again", async (t) => {
    const folder = temporaryFolder();
    const { journal } = await journalIn(folder.path, t);
    t.after(() => folder.remove());
    let runs = 0;
    const work = async () => {
      if (++runs === 1) throw new Error("the first time");
      return runs;
    };
    await assert.rejects(journal.step("a", work), /the first time/);
    assert.equal(await journal.step("a", work), 2);
    assert.equal(await journal.step("a", work), 2);
  });

  it("gives the first caller what later ones will read: no undefined, no prototypes", async (t) => {
    const folder = temporaryFolder();
    const { journal } = await journalIn(folder.path, t);
    t.after(() => folder.remove());
    const given = await journal.step("a", async () => ({ kept: 1, dropped: undefined }));
    assert.deepEqual(Object.keys(given), ["kept"]);
    assert.equal(await journal.step("nothing", async () => undefined), undefined);
    assert.equal(await journal.step("nothing", async () => assert.fail("it was done") as undefined), undefined);
  });

  for (const [what, value] of [
    ["NaN", { loss: Number.NaN }],
    ["infinity", [1, Number.POSITIVE_INFINITY]],
    ["a typed array", { deep: { values: new Float32Array(2) } }],
    ["a map", new Map([["a", 1]])],
    ["a date", { at: new Date(0) }],
    ["a bigint", { n: 1n }],
    ["undefined in a list", [undefined]],
  ] as const) {
    it(`refuses ${what}, which JSON would change in silence`, async (t) => {
      const folder = temporaryFolder();
      const { journal } = await journalIn(folder.path, t);
      t.after(() => folder.remove());
      await assert.rejects(
        journal.step("the step", async () => value),
        (error) => error instanceof KindredError && error.code === "internal" && error.message.includes("the step"),
      );
    });
  }
});
