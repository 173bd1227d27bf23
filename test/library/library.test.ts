/** Kindred from code: rows as values, mistakes named by field, runs that are stopped and resumed. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { DEMO_MODEL, type RunEvent, type Simulation, simulate, startClient, startCoordinator } from "../../index.js";
import { temporaryFolder } from "../support/federation.js";

const folder = temporaryFolder();
after(folder.remove);

const rows = (desk: string) =>
  ["attic", "cellar", "hall", "kitchen", "garage"].map((room) => ({
    prompt: `Ticket: in the ${room}, a lamp is broken. Desk:`,
    completion: desk,
  }));
const small: Simulation = {
  model: DEMO_MODEL,
  population: [
    { client: "harbour", train: rows(" north") },
    { client: "castle", train: rows(" south") },
  ],
  training: { epochs: 1, learningRate: 0.01 },
  estimation: { dim: 32 },
  compare: ["base"],
};

test("a population given as rows is simulated, everything is told once, and the same run again has the same result", async () => {
  const events: RunEvent[] = [];
  const out = join(folder.path, "kept");
  const report = await simulate(small, { out, onEvent: (event) => events.push(event) });
  assert.deepEqual(report.clients, ["harbour", "castle"]);
  assert.ok(report.methods.kindred!.mean.loss < report.methods.base!.mean.loss);
  assert.equal((report.config as { population: unknown }).population, "rows given in memory");
  const types = events.map(({ type }) => type);
  for (const type of ["run-started", "groups-found", "run-finished"] as const)
    assert.equal(types.filter((each) => each === type).length, 1, type);
  await assert.rejects(simulate(small, { out }), { code: "already_exists" });
  const again = await simulate(small, { out, force: true });
  assert.deepEqual(again.methods, report.methods);
});

const MISTAKES: readonly (readonly [string, Record<string, unknown>, string, RegExp])[] = [
  ["an option of another name", { epochs: 3 }, "invalid_config", /^options: epochs: unknown option/],
  ["a model that is missing", { model: "no/such/place" }, "not_found", /^options: model: no such folder/],
  [
    "a client without rows",
    { population: [{ client: "a", train: [] }] },
    "invalid_data",
    /client "a": train has no rows/,
  ],
  [
    "a row that is none",
    { population: [{ client: "a", train: ["text", 7, "text"] }] },
    "invalid_data",
    /^population\[0\]: client "a": train\[1\]/,
  ],
  [
    "two clients of one name",
    { population: [small.population[0], small.population[0]] },
    "invalid_data",
    /^population\[1\]: client "harbour" appears a second time/,
  ],
  [
    "a strategy that the program does not bring",
    { training: { strategy: { kind: "custom", name: "mine" } } },
    "invalid_config",
    /training\.strategy\.name: .* got "mine"/,
  ],
];
for (const [what, change, code, message] of MISTAKES)
  test(`${what} is refused by field and value`, async () => {
    await assert.rejects(simulate({ ...small, ...change } as Simulation), { code, message });
  });

test("a coordinator and two clients in one process end with an ensemble for each", async () => {
  const coordinator = await startCoordinator({
    minClients: 2,
    model: DEMO_MODEL,
    training: { epochs: 1, learningRate: 0.01 },
    estimation: { dim: 32 },
  });
  const clients = await Promise.all(
    ["harbour", "castle"].map((name) =>
      startClient({
        coordinator: coordinator.address,
        name,
        model: DEMO_MODEL,
        data: { train: rows(name === "castle" ? " south" : " north") },
      }),
    ),
  );
  const { clients: served } = await coordinator.result;
  assert.deepEqual(served, ["castle", "harbour"]);
  for (const { result } of clients) assert.ok(((await result).ensemble?.members.length ?? 0) > 0);
});

test("a coordinator that is aborted while it waits says so, and frees its state", async () => {
  const state = join(folder.path, "aborted");
  const options = { minClients: 2, model: DEMO_MODEL };
  const first = await startCoordinator(options, { state });
  first.abort();
  await assert.rejects(first.result, { code: "cancelled" });
  const second = await startCoordinator(options, { state });
  second.abort();
  await assert.rejects(second.result, { code: "cancelled" });
});

test("a client whose coordinator is away is stopped by its signal", async () => {
  const stop = new AbortController();
  const client = await startClient({
    coordinator: "127.0.0.1:1",
    name: "harbour",
    model: DEMO_MODEL,
    data: { train: rows(" north") },
    signal: stop.signal,
  });
  stop.abort();
  await assert.rejects(client.result, { code: "cancelled" });
});
