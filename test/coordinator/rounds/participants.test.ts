/** Who is asked in a round, and when it is over. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { arrivalsUntilClosed, clientsOfRound, selectedClients } from "../../../coordinator/rounds/participants.js";
import { Journal } from "../../../coordinator/run/journal.js";
import { defineStrategy } from "../../../coordinator/strategies/define.js";
import type { Round, Strategy } from "../../../coordinator/strategies/strategy.js";
import { KindredError } from "../../../shared/base/errors.js";
import { SeededRng } from "../../../shared/base/random.js";

const NAMES = ["a", "b", "c", "d", "e"];
const round: Round = {
  training: "shared",
  index: 2,
  count: 4,
  clients: NAMES.map((name, at) => ({ name, examples: 10, steps: at === 4 ? 0 : 1 })),
  learningRate: 0.1,
  rng: (label) => new SeededRng(1, label),
};

function journal() {
  const memos = new Map<string, string>();
  return {
    memos,
    journal: new Journal({
      memo: async (key) => memos.get(key),
      saveMemo: async (key, json) => void memos.set(key, json),
    }),
  };
}

const strategy = (parts: Partial<Strategy>): Strategy =>
  defineStrategy({ name: "test", combine: (values) => values[0]!, ...parts });

test("without a word of the strategy all that have steps are asked, and all asked are in the round; nothing is journalled", async () => {
  const { memos, journal: steps } = journal();
  const selected = await selectedClients(steps, strategy({}), round);
  assert.deepEqual(selected, ["a", "b", "c", "d"]);
  const never = (): Promise<never> => assert.fail("nothing to ask for twice");
  assert.deepEqual(await clientsOfRound(steps, strategy({}), round, selected, never), selected);
  assert.equal(memos.size, 0);
});

test("a selection is kept in the clients' order, without clients that have no steps, and is not made again", async () => {
  const { journal: steps } = journal();
  let calls = 0;
  const select = (): string[] => {
    calls++;
    return ["e", "d", "a"];
  };
  for (const _ of [1, 2]) assert.deepEqual(await selectedClients(steps, strategy({ select }), round), ["a", "d"]);
  assert.equal(calls, 1);
  await assert.rejects(
    selectedClients(journal().journal, strategy({ select: () => ["a", "x"] }), round),
    /strategy test: select must give names of the round's clients, got "x"/,
  );
});

/** Asks clients that answer one after the other; those that never do wait until their tasks are withdrawn. */
function asking(answers: readonly (readonly [string, boolean])[], log: string[] = []) {
  return async (arrived: (client: string, ok: boolean) => void, signal: AbortSignal): Promise<void> => {
    for (const [client, ok] of answers) {
      await new Promise((resume) => setImmediate(resume));
      if (signal.aborted) break;
      log.push(client);
      arrived(client, ok);
    }
    if (answers.length === 4 && !signal.aborted) return;
    await new Promise<void>((_, reject) => {
      const withdrawn = (): void => reject(new KindredError("cancelled", "withdrawn"));
      if (signal.aborted) withdrawn();
      signal.addEventListener("abort", withdrawn, { once: true });
    });
  };
}

test("a round ends when the strategy says so, with those that have answered, failures included; the others' tasks are withdrawn", async () => {
  const { memos, journal: steps } = journal();
  const closes: Strategy["closes"] = (arrivals) => arrivals.length === 2;
  const log: string[] = [];
  const answers = [["d", true] as const, ["b", false] as const, ["a", true] as const];
  const selected = ["a", "b", "c", "d"];
  assert.deepEqual(await clientsOfRound(steps, strategy({ closes }), round, selected, asking(answers, log)), [
    "b",
    "d",
  ]);
  assert.deepEqual(log, ["d", "b"]);
  assert.deepEqual([...memos.keys()], ["closed/shared/2"]);
  // A resumed run has the same clients in the round, whoever answers now.
  const other = asking([
    ["a", true],
    ["c", true],
  ]);
  assert.deepEqual(await clientsOfRound(steps, strategy({ closes }), round, selected, other), ["b", "d"]);
});

test("where all have answered, the round ends without the strategy's word", async () => {
  const answers = ["c", "a", "d", "b"].map((client) => [client, true] as const);
  assert.deepEqual(await arrivalsUntilClosed(() => false, round, asking(answers)), ["c", "a", "d", "b"]);
});

test("a strategy may end a round by the clock, also while nobody answers", async () => {
  const closes: NonNullable<Strategy["closes"]> = (arrivals, _round, elapsedMs) =>
    arrivals.length > 0 && elapsedMs > 500;
  const began = performance.now();
  assert.deepEqual(await arrivalsUntilClosed(closes, round, asking([["a", true]])), ["a"]);
  assert.ok(performance.now() - began >= 500);
});

test("an error of the strategy, or of the asking, is the round's error", async () => {
  const broken = (): boolean => {
    throw new RangeError("no such quorum");
  };
  await assert.rejects(arrivalsUntilClosed(broken, round, asking([["a", true]])), /no such quorum/);
  const failing = async (): Promise<void> => {
    throw new KindredError("internal", "the pool broke");
  };
  await assert.rejects(
    arrivalsUntilClosed(() => false, round, failing),
    /the pool broke/,
  );
});
