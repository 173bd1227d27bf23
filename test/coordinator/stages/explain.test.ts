import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { SurrogateEvaluator } from "../../../coordinator/estimation/partition-evaluator.js";
import type { SurrogateSolver } from "../../../coordinator/estimation/surrogate.js";
import { PartitionConstraints } from "../../../coordinator/grouping/constraints.js";
import { type Partition, partitionOf } from "../../../coordinator/grouping/partition.js";
import { estimateAffinities, openEstimator } from "../../../coordinator/stages/affinities.js";
import { type Explanation, explainClient, type GroupedClients } from "../../../coordinator/stages/explain.js";
import { explanationText } from "../../../coordinator/stages/explanation.js";
import { KindredError } from "../../../shared/base/errors.js";
import { columnsOf } from "../../../shared/base/terminal.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";

const SETTINGS = {
  subsets: "auto",
  subsetSize: "auto",
  standardError: "auto",
  lambda: "auto",
  design: "balanced",
  balance: "none",
  projections: 1,
} as const;

const { sketches, labels } = plantedSketches({ clients: 12, groups: 3, train: 40, validation: 60, dim: 24 });
const clients = sketches.map(({ client }) => client);
const planted = partitionOf(labels);
const runtime = new OnnxRuntime({ threads: 1 });
let solver: SurrogateSolver;
let evaluator: SurrogateEvaluator;
let run: GroupedClients;

before(async () => {
  solver = await openEstimator(sketches, SETTINGS, { seed: 0, runtime });
  evaluator = new SurrogateEvaluator(solver);
  const { affinity, errors } = await estimateAffinities(solver, SETTINGS, 0);
  const constraints = new PartitionConstraints(clients, { together: [], apart: [["client-0", "client-1"]] });
  run = {
    clients,
    affinity: affinity.matrix,
    errors: errors.matrix,
    partition: planted,
    reason: "planted",
    constraints,
  };
});
after(async () => {
  await solver.close();
  await runtime.close();
});

const explained = (client: string, more: object = {}, partition: Partition = planted): Promise<Explanation> =>
  explainClient(evaluator, { ...run, partition }, { client, without: [], joined: [], ...more });

test("the partners planted with a client have its highest affinities and are in its group", async () => {
  const { group, members, partners } = await explained("client-4");
  assert.equal(group, 2);
  assert.deepEqual(members, ["client-1", "client-4", "client-7", "client-10"]);
  const best = partners.best.slice(0, 3);
  assert.deepEqual(best.map(({ client }) => client).sort(), ["client-1", "client-10", "client-7"]);
  for (const partner of best) {
    assert.equal(partner.group, 2);
    assert.equal(partner.affinity, run.affinity[4]![clients.indexOf(partner.client)]);
    assert.equal(partner.inReturn, run.affinity[clients.indexOf(partner.client)]![4]);
    assert.equal(partner.standardError, run.errors![4]![clients.indexOf(partner.client)]);
    assert.ok(partner.overMean > 0);
  }
  for (const partner of partners.worst) assert.ok(partner.group !== 2 && partner.overMean < 0);
  const all = [...partners.best, ...partners.worst].map(({ client }) => client);
  assert.equal(new Set(all).size, 10);
});

test("every move from the planted group is significantly worse for the client and for all clients together", async () => {
  const { moves, loss } = await explained("client-0");
  assert.deepEqual(moves.map(({ group }) => group).sort(), [2, 3, null]);
  for (const { own, pooled } of moves) {
    assert.ok(own.loss > 2 * own.standardError, `${own.loss} ± ${own.standardError}`);
    assert.ok(pooled.loss > 2 * pooled.standardError);
    assert.ok(own.confidence! > 0.97 && own.confidence! <= 1);
  }
  // client-1, which must be apart from it, is in group 2.
  assert.deepEqual(
    moves.map(({ group, allowed }) => [group, allowed]).sort(),
    [
      [2, false],
      [3, true],
      [null, true],
    ].sort(),
  );
  // The evaluator gives the same numbers: a move's loss is that of the resulting partition.
  const alone = moves.find(({ group }) => group === null)!;
  const apart = [[0], ...planted.map((members) => members.filter((i) => i !== 0))];
  const [before_, after_] = await evaluator.values([planted, apart]);
  assert.ok(Math.abs(alone.pooled.loss - (before_! - after_!)) < 1e-9);
  const values = await evaluator.clientValues(planted);
  assert.equal(loss, -values[0]!);
  assert.ok(Math.abs(alone.own.loss - (values[0]! - (await evaluator.clientValues(apart))[0]!)) < 1e-9);
});

test("the best move of a client in the wrong group is to its planted group", async () => {
  const wrong = planted.map((group, c) =>
    c === 0 ? group.filter((i) => i !== 3) : c === 1 ? [...group, 3].sort() : group,
  );
  const { group, moves } = await explained("client-3", {}, wrong as Partition);
  assert.equal(group, 2);
  assert.equal(moves[0]!.group, 1);
  assert.ok(moves[0]!.own.loss < -2 * moves[0]!.own.standardError);
  assert.ok(moves[0]!.pooled.loss < 0);
});

test("a partner that leaves raises the loss, a stranger that joins raises it too, and a client of another group that leaves changes nothing", async () => {
  const { whatIf } = await explained("client-0", { without: ["client-3", "client-5"], joined: ["client-1"] });
  const [partner, elsewhere, stranger] = whatIf;
  assert.deepEqual([partner!.event, partner!.other, partner!.theirs], ["without", "client-3", null]);
  assert.ok(partner!.own.loss > 0 && partner!.group.loss > 0);
  assert.deepEqual(elsewhere!.own, { loss: 0, standardError: 0, confidence: null });
  assert.ok(elsewhere!.pooled.loss > 0);
  assert.equal(stranger!.event, "with");
  assert.ok(stranger!.own.loss > 0 && stranger!.group.loss > 0 && stranger!.theirs!.loss > 0);
});

test("one client alone has neither partners nor moves", async () => {
  const constraints = new PartitionConstraints(["client-0"], { together: [], apart: [] });
  const own = await openEstimator(sketches.slice(0, 1), SETTINGS, { seed: 0, runtime });
  const only = {
    clients: ["client-0"],
    affinity: [[-0.5]],
    errors: null,
    partition: [[0]],
    reason: "one",
    constraints,
  };
  const found = await explainClient(new SurrogateEvaluator(own), only, { client: "client-0", without: [], joined: [] });
  await own.close();
  assert.deepEqual(found.partners, { best: [], worst: [] });
  assert.deepEqual(found.moves, []);
  assert.match(
    explanationText(found, { color: false, width: 80 }),
    /is in group 1, alone\n.*nats per example\none\n\nIt is the only client/,
  );
});

for (const [what, question, says] of [
  ["an unknown client", { client: "nobody" }, /no client "nobody"; it has 12 clients, beginning with "client-0"/],
  ["an unknown other", { client: "client-0", without: ["nobody"] }, /no client "nobody"/],
  ["the client itself", { client: "client-0", without: ["client-0"] }, /is the explained client itself/],
  ["one that is there already", { client: "client-0", joined: ["client-3"] }, /already in the group of "client-0"/],
] as const)
  test(`${what} is refused with its reason`, async () => {
    await assert.rejects(explained(question.client, question), (error) => {
      assert.ok(error instanceof KindredError && error.code === "invalid_option");
      assert.match(error.message, says);
      return true;
    });
  });

test("the text fits 80 columns with and without colour, and a name cannot control the terminal", async () => {
  const found = await explained("client-0", { without: ["client-3"], joined: ["client-1"] });
  const named = { ...found, client: "a\u001b[2Jb" };
  const plain = explanationText(named, { color: false, width: 80 });
  for (const line of plain.split("\n")) assert.ok(columnsOf(line) <= 80, line);
  assert.doesNotMatch(plain.replaceAll("\n", ""), /\p{Cc}/u);
  const colour = explanationText(named, { color: true, width: 80 });
  assert.match(colour, /\p{Cc}\[1m/u);
  assert.equal(colour.replace(/\p{Cc}\[[0-9;]*m/gu, ""), plain);
  for (const words of ["to group 2, of 4 *", "without client-3: its own", "client-1 itself", "alone"])
    assert.ok(plain.includes(words), words);
});
