import assert from "node:assert/strict";
import { before, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { Connection } from "../../client/outbox/connection.js";
import { refOf } from "../../client/outbox/upload.js";
import type { TaskRunner } from "../../client/session/session.js";
import { KindredError } from "../../shared/base/errors.js";
import type { FloatTensor } from "../../shared/base/tensors.js";
import { encodeBlobRef } from "../../shared/wire/fields.js";
import { PROTOCOL_VERSION } from "../../shared/wire/limits.js";
import { channelCredentials } from "../../shared/wire/security.js";
import type { ModelIdentity } from "../../shared/wire/types.js";
import type { TaskSpec } from "../../tasks/kinds.js";
import { bytesOf } from "../support/federation.js";
import { runFederation, type TestOutcome } from "../support/run.js";
import { tinyClients } from "../support/tiny.js";

const CLIENTS = tinyClients({ clients: 5 });
const NAMES = CLIENTS.map(({ client }) => client);
/** In the first group, with c0 and c2. */
const FAULTY = "c4";
const HONEST = NAMES.filter((name) => name !== FAULTY);
const OPTIONS = { groups: 2, boosting: { rounds: 1 } };

/** Sends what it trained with every tensor changed. */
function spoilt(
  change: (name: string, tensor: FloatTensor) => readonly [string, FloatTensor],
): (honest: TaskRunner) => TaskRunner {
  return (honest) => ({
    run: async (task, io) => {
      const result = await honest.run(task, io);
      if (result.kind !== "trainAdapter") return result;
      const tensors = new Map([...result.values.tensors].map(([name, tensor]) => change(name, tensor)));
      return { ...result, values: { ...result.values, tensors } };
    },
  });
}

const failing =
  (when: (task: TaskSpec) => boolean, fail: () => Promise<never>) =>
  (honest: TaskRunner): TaskRunner => ({
    run: (task, io) => (when(task) ? fail() : honest.run(task, io)),
  });

/** What the honest clients have of a run. */
function honestShare({ outcome }: TestOutcome) {
  const of = <T>(values: ReadonlyMap<string, T>) => HONEST.map((name) => [name, values.get(name)]);
  return {
    groups: outcome.groups.map((group) => group.filter((name) => name !== FAULTY)),
    weights: of(outcome.weights),
    members: outcome.members.map(({ name, values, step }) => ({ name, sha256: values.sha256, step })),
    scores: of(outcome.methods.get("kindred") ?? new Map()),
  };
}

function assertServed(run: TestOutcome): void {
  const { groups, methods } = run.outcome;
  assert.deepEqual(groups.map((group) => group.filter((name) => name !== FAULTY)).toSorted(), [
    ["c0", "c2"],
    ["c1", "c3"],
  ]);
  for (const name of HONEST) {
    const [base, kindred] = [methods.get("base")?.get(name), methods.get("kindred")?.get(name)];
    assert.ok(base && kindred && Number.isFinite(kindred.nllSum), name);
    assert.ok(kindred.nllSum < base.nllSum, `${name} is served better than by the base`);
  }
}

const withRunner = (runner: (honest: TaskRunner) => TaskRunner, more: object = {}): Promise<TestOutcome> =>
  runFederation({ clients: CLIENTS, options: OPTIONS, runners: { [FAULTY]: runner }, ...more });

describe("an update that cannot be used", () => {
  const runs = new Map<string, TestOutcome>();
  const WAYS: readonly [string, RegExp, Parameters<typeof spoilt>[0]][] = [
    [
      "NaN",
      /holds NaN at element 3|not finite/,
      (name, { shape, data }) => [name, { shape, data: data.with(3, Number.NaN) }],
    ],
    [
      "values far off",
      /holds \S+ at element 0, farther from its start than \d+ steps/,
      (name, { shape, data }) => [name, { shape, data: data.with(0, 1e30) }],
    ],
    [
      "a tensor of the wrong shape",
      /has shape \[/,
      (name, { shape, data }) => [name, { shape: [shape[0]! * 2, shape[1]!], data: new Float32Array(data.length * 2) }],
    ],
    [
      "a tensor under a wrong name",
      /lacks the tensor|is not part of the adapter|names? /,
      (name, tensor) => [name.replace("layers", "layer"), tensor],
    ],
  ];
  before(async () => {
    for (const [what, , change] of WAYS) runs.set(what, await withRunner(spoilt(change)));
  });

  for (const [what, reason] of WAYS) {
    it(`(${what}) is left out, with a fault that names client, stage and reason; the others are served`, () => {
      const run = runs.get(what)!;
      assertServed(run);
      assert.deepEqual([...new Set(run.faults.map(({ client }) => client))], [FAULTY]);
      assert.equal(run.faults[0]?.stage, "train");
      for (const { message } of run.faults) assert.match(message, reason);
    });
  }

  it("changes nothing for the others, whatever is wrong with it", () => {
    const [first, ...others] = [...runs.values()].map(honestShare);
    for (const other of others) assert.deepEqual(other, first);
  });

  it("is no update: the others have the adapters that they would have without it", async () => {
    const absent = await withRunner(
      failing(
        (task) => task.kind === "trainAdapter",
        async () => Promise.reject(new Error("no")),
      ),
    );
    const [withNaN, without] = [honestShare(runs.get("NaN")!), honestShare(absent)];
    assert.deepEqual(
      withNaN.members.filter(({ name }) => !name.includes("boost")),
      without.members.filter(({ name }) => !name.includes("boost")),
    );
    assert.deepEqual(withNaN.groups, without.groups);
  });
});

describe("an adapter of one client alone that cannot be used", () => {
  for (const [what, change] of [
    ["NaN", (name: string, { shape, data }: FloatTensor) => [name, { shape, data: data.with(0, Number.NaN) }] as const],
    [
      "wrong shapes",
      (name: string, { shape }: FloatTensor) =>
        [name, { shape: [shape[0]! + 1, shape[1]!], data: new Float32Array((shape[0]! + 1) * shape[1]!) }] as const,
    ],
    [
      "values far off",
      (name: string, { shape, data }: FloatTensor) => [name, { shape, data: data.with(0, -1e30) }] as const,
    ],
    ["wrong names", (name: string, tensor: FloatTensor) => [`x.${name}`, tensor] as const],
  ] as const) {
    it(`(${what}) is no member of anyone's ensemble, and no local baseline`, async () => {
      // Three groups of three clients: each is trained alone.
      const clients = tinyClients({ clients: 3 });
      const run = await runFederation({
        clients,
        options: { ...OPTIONS, groups: 3 },
        compare: ["base", "shared", "local"],
        runners: { c2: spoilt(change) },
      });
      assert.equal(run.outcome.groups.length, 3);
      assert.deepEqual([...new Set(run.faults.map(({ client }) => client))], ["c2"]);
      assert.ok(run.outcome.members.length >= 2);
      for (const name of ["c0", "c1", "c2"]) {
        const score = run.outcome.methods.get("kindred")?.get(name);
        assert.ok(score && Number.isFinite(score.nllSum), name);
      }
    });
  }
});

describe("sketches that are longer than the plan's can be", () => {
  it("are not read: their client is left out, with a fault that names both sizes", async () => {
    const run = await withRunner((honest) => ({
      run: async (task, io) => {
        const result = await honest.run(task, io);
        if (result.kind !== "sketchGradients") return result;
        const padding = { shape: [2 ** 22], data: new Float32Array(2 ** 22) };
        return { ...result, rows: { tensors: new Map([...result.rows.tensors, ["padding", padding]]) } };
      },
    }));
    assertServed(run);
    assert.deepEqual(
      run.faults.map(({ client, stage }) => [client, stage]),
      [[FAULTY, "estimate"]],
    );
    assert.match(run.faults[0]?.message ?? "", /sketches of c4: 1\d{7} bytes; expected at most \d+$/);
  });
});

describe("groups of one client each, before any training of several has shown what an adapter is made of", () => {
  const clients = tinyClients({ clients: 3 });
  const options = { groups: 3, boosting: { rounds: 0 } };

  it("serve the others where one client's adapter is not of the model, and call that its fault alone", async () => {
    const runners = { c0: spoilt((name, tensor) => [`x.${name}`, tensor]) };
    const run = await runFederation({ clients, options, runners });
    assert.deepEqual([...new Set(run.faults.map(({ client }) => client))], ["c0"]);
    assert.match(run.faults[0]?.message ?? "", /lacks the tensor/);
    assert.deepEqual(
      run.outcome.members.map(({ name }) => name),
      ["group-2", "group-3"],
    );
  });

  it("keep their own adapters where no client can fit weights", async () => {
    const fails = failing(
      (task) => task.kind === "fitWeights",
      () => Promise.reject(new Error("broken")),
    );
    const run = await runFederation({ clients, options, runners: { c0: fails, c1: fails, c2: fails } });
    assert.equal(run.faults.length, 3);
    assert.deepEqual(run.outcome.weights.get("c1"), [0, 1, 0]);
  });
});

describe("a client that is no help at all", () => {
  /** Hangs until it is told that nobody waits any more. */
  const silent = (): TaskRunner => ({
    run: (_, { signal }) => new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
  });

  it("(it throws in every task) leaves too few for a subset, which then are all", async () => {
    const runners = Object.fromEntries(
      ["c3", "c4"].map((name) => [
        name,
        failing(
          () => true,
          () => Promise.reject(new Error("broken")),
        ),
      ]),
    );
    const run = await runFederation({
      clients: CLIENTS,
      options: { ...OPTIONS, estimation: { dim: 32, subsetSize: 4 } },
      runners,
    });
    assert.deepEqual(run.outcome.clients, ["c0", "c1", "c2"]);
  });

  it("(it throws in every task) is left out from the start, and named at every stage that asked it", async () => {
    const run = await withRunner(
      failing(
        () => true,
        () => Promise.reject(new Error("broken")),
      ),
    );
    assertServed(run);
    assert.ok(!run.outcome.clients.includes(FAULTY));
    assert.deepEqual([...new Set(run.faults.map(({ client }) => client))], [FAULTY]);
    assert.ok(run.faults.some(({ stage }) => stage === "estimate"));
  });

  it("(it never answers) is given up at the deadline, and the run ends", async () => {
    const run = await withRunner(silent, { deadlineMs: 10_000 });
    assertServed(run);
    assert.deepEqual(
      run.faults.map(({ client }) => client),
      [FAULTY],
    );
    assert.match(run.faults[0]?.message ?? "", /no progress beyond 0 %.*deadline 10 s/);
  });

  it("(its chunks have wrong checksums) gets nothing accepted, is told why, and is given up", async () => {
    const refusals: string[] = [];
    const play = async (address: string, identity: ModelIdentity, signal: AbortSignal): Promise<void> => {
      const connection = new Connection({ address, credentials: channelCredentials(address), signal });
      const rows = { train: 16, validation: 8, test: 8 };
      const who = {
        clientName: FAULTY,
        instanceId: "an-instance-that-lies",
        ...identity,
        chatTemplateHash: "",
        endOfFreeAnswers: "",
        endOfOtherRows: "",
        rows,
      };
      connection.sessionToken = (await connection.enrol({ protocolVersion: PROTOCOL_VERSION, ...who })).sessionToken;
      while (!signal.aborted) {
        const { task } = await connection.nextTask(1_000);
        if (!task) continue;
        const bytes = bytesOf(5_000, "lies");
        const upload = connection.upload();
        try {
          await upload.write({ header: { taskId: task.taskId, blob: encodeBlobRef(refOf(bytes)) } });
          await upload.write({ chunk: { offset: "0", data: Buffer.from(bytes), crc32: 12345 } });
          upload.end();
          await upload.reply;
        } catch (error) {
          if (error instanceof KindredError) refusals.push(error.code);
        } finally {
          upload.cancel();
        }
        await sleep(200);
      }
    };
    const run = await runFederation({
      clients: CLIENTS,
      options: OPTIONS,
      played: { [FAULTY]: play },
      deadlineMs: 10_000,
    });
    assertServed(run);
    assert.ok(refusals.includes("checksum_mismatch"), [...new Set(refusals)].join());
    assert.deepEqual([...new Set(run.faults.map(({ client }) => client))], [FAULTY]);
  });

  it("(all fail) ends the run with an error that names a client's fault", async () => {
    const runners = Object.fromEntries(
      NAMES.map((name) => [
        name,
        failing(
          () => true,
          () => Promise.reject(new KindredError("task_failed", "out of memory")),
        ),
      ]),
    );
    for (const training of [{ learningRate: 0.03 }, { learningRate: "auto" }]) {
      const run = runFederation({
        clients: CLIENTS,
        options: { ...OPTIONS, training: { epochs: 1, ...training } },
        runners,
      });
      await assert.rejects(run, (error) => error instanceof KindredError && /c0.*out of memory/.test(error.message));
    }
  });
});
