import assert from "node:assert/strict";
import { it } from "node:test";
import type { ClientInfo, ClientPool } from "../../../coordinator/roster/pool.js";
import { KindredError } from "../../../shared/base/errors.js";
import type { Runtime } from "../../../shared/runtimes/types.js";
import type { TaskSpec } from "../../../tasks/kinds.js";
import { MODEL_HASH } from "../../support/federation.js";
import { MemoryStore } from "../../support/memory-store.js";
import { pinnedRun } from "../../support/pinned-run.js";
import { CASES } from "./cases.js";

const NAMES = ["a", "b"];

/** Clients with so many training rows; the run is stopped at its first tasks. */
function poolOf(train: number, asked: TaskSpec[]): ClientPool {
  const clients = NAMES.map(
    (name): ClientInfo => ({ name, modelHash: MODEL_HASH, rows: { train, validation: 2, test: 2 }, live: true }),
  );
  const stopped = new KindredError("cancelled", "stopped");
  return {
    clients: async () => clients,
    whenEnrolled: async () => clients,
    run: async (_key: string, _client: string, task: TaskSpec) => {
      asked.push(task);
      throw stopped;
    },
  } as unknown as ClientPool;
}

it("a client that comes back with other rows changes none of the tasks of a resumed run", async () => {
  const { records } = new MemoryStore();
  const tasksWith = async (train: number, state = records): Promise<TaskSpec[]> => {
    const asked: TaskSpec[] = [];
    const run = pinnedRun({
      plan: CASES.small.plan,
      clients: NAMES,
      pool: poolOf(train, asked),
      records: state,
      runtime: {} as Runtime,
      signal: new AbortController().signal,
    });
    await assert.rejects(run, (error: KindredError) => error.code === "cancelled");
    return asked;
  };
  const first = await tasksWith(6);
  assert.equal(first[0]?.kind, "trainAdapter");
  assert.deepEqual(await tasksWith(60), first);
  // Control: a run of its own has tasks of its own.
  assert.notDeepEqual(await tasksWith(60, new MemoryStore().records), first);
});

it("a run that is refused leaves no event in the stream of the run that the state holds", async () => {
  const { records } = new MemoryStore();
  const attempt = (plan: (typeof CASES)["small"]["plan"]) =>
    pinnedRun({
      plan,
      clients: NAMES,
      pool: poolOf(6, []),
      records,
      runtime: {} as Runtime,
      signal: new AbortController().signal,
    });
  const typesOf = async () => (await records.events(1)).map(({ json }) => (JSON.parse(json) as { type: string }).type);
  await assert.rejects(attempt(CASES.small.plan), { code: "cancelled" });
  const before = await typesOf();
  assert.equal(before.at(-1), "run-stopped");
  await assert.rejects(attempt({ ...CASES.small.plan, epochs: 9 }), { code: "already_exists" });
  assert.deepEqual(await typesOf(), before);
});
