import assert from "node:assert/strict";
import { after, before, describe, it, type TestContext } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import type { TaskRunner } from "../../../client/session/session.js";
import { KindredError } from "../../../shared/base/errors.js";
import { silentLog } from "../../../shared/base/log.js";
import type { ModelIdentity } from "../../../shared/wire/types.js";
import type { UnsentResult } from "../../../tasks/kinds.js";
import {
  adapterBytes,
  arrived,
  bytesOf,
  type Coordinator,
  clientOf,
  coordinatorAt,
  count,
  evaluateTask,
  IDENTITY,
  incremented,
  MODEL_HASH,
  type TestClient,
  temporaryFolder,
  trainTask,
} from "../../support/federation.js";
import { relayTo } from "../../support/proxy.js";
import { VirtualTime } from "../../support/virtual-time.js";

const SIZE = 6_000_000;

/** Client options whose client is stopped when the test ends, however it ends. */
function joined(t: TestContext, client: TestClient): TestClient {
  t.after(() => client.stop());
  return client;
}

function failsWith(code: string, ...parts: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof KindredError, String(error));
    assert.equal(error.code, code);
    for (const part of parts) assert.ok(error.message.includes(part), `${error.message} should name ${part}`);
    return true;
  };
}

describe("a client in trouble", () => {
  const folder = temporaryFolder();
  const logged: string[] = [];
  // Silence and deadlines are measured by the tests' own clock: a slow machine makes no client silent. Clients' hearts beat in real time.
  const time = new VirtualTime();
  let coordinator: Coordinator;
  before(async () => {
    const warn = (message: string, fields?: object): void => {
      logged.push(`${message} ${JSON.stringify(fields)}`);
    };
    coordinator = await coordinatorAt(folder.path, {
      silenceMs: 600,
      now: time.now,
      every: time.every,
      log: { ...silentLog, warn },
    });
  });
  /** Lets time pass until the promise is settled. */
  const settled = async <T>(promise: Promise<T>): Promise<T> => {
    let done = false;
    void promise.finally(() => {
      done = true;
    });
    while (!done) {
      void time.sleep(100);
      await time.pass();
      await sleep(5);
    }
    return promise;
  };
  after(async () => {
    await coordinator.close();
    folder.remove();
  });

  it("goes on with an upload where the connection was cut", async (t) => {
    const relay = await relayTo(coordinator.address);
    t.after(() => relay.close());
    joined(t, clientOf(relay.address, "uploader"));
    await arrived(coordinator.pool, "uploader");
    const start = await coordinator.pool.putBlob(adapterBytes(SIZE, "up"));
    relay.cutAfter("up", 3_500_000);
    const outcome = await coordinator.pool.run("t", "uploader", trainTask(start));
    assert.ok(outcome.ok);
    const values = await coordinator.pool.getBlob(outcome.result.values);
    assert.ok(Buffer.from(values).equals(incremented(adapterBytes(SIZE, "up"))));
    assert.equal(relay.cuts(), 1);
    // Sent again from the start it would be 9.5 MB; chunks that were under way when the line was cut are sent twice.
    assert.ok(relay.passed.up < 8_600_000, `${relay.passed.up} bytes went up for a blob of ${SIZE}`);
  });

  it("goes on with a download where the connection was cut", async (t) => {
    const relay = await relayTo(coordinator.address);
    t.after(() => relay.close());
    joined(t, clientOf(relay.address, "downloader"));
    await arrived(coordinator.pool, "downloader");
    const member = await coordinator.pool.putBlob(bytesOf(SIZE, "down"));
    relay.cutAfter("down", 3_500_000);
    const outcome = await coordinator.pool.run("t", "downloader", evaluateTask([member]));
    assert.ok(outcome.ok);
    assert.equal(relay.cuts(), 1);
    assert.ok(relay.passed.down < 8_600_000, `${relay.passed.down} bytes came down for a blob of ${SIZE}`);
  });

  it("reports the same bytes for a task with and without a cut", async (t) => {
    const relay = await relayTo(coordinator.address);
    t.after(() => relay.close());
    joined(t, clientOf(coordinator.address, "smooth"));
    joined(t, clientOf(relay.address, "rough"));
    await arrived(coordinator.pool, "smooth");
    await arrived(coordinator.pool, "rough");
    const start = await coordinator.pool.putBlob(adapterBytes(2_000_000, "bytes"));
    relay.cutAfter("up", 1_200_000);
    const [smooth, rough] = await Promise.all(
      ["smooth", "rough"].map((name) => coordinator.pool.run("t", name, trainTask(start))),
    );
    assert.ok(smooth?.ok && rough?.ok);
    assert.equal(relay.cuts(), 1);
    assert.deepEqual([smooth.bytesUp, smooth.bytesDown], [rough.bytesUp, rough.bytesDown]);
  });

  it("is told which part of its model is another one, and the coordinator logs it", async () => {
    const other = "cd".repeat(32);
    const parts: readonly [Partial<ModelIdentity>, string, string][] = [
      [{ quantization: "int4", modelHash: other }, "quantization int4, the run none", "--quantization none"],
      [{ modelHash: other }, `base model ${other}, the run ${MODEL_HASH}`, "the same model folder"],
      [{ tokenizerHash: other }, `tokenizer ${other}, the run ${IDENTITY.tokenizerHash}`, "the same tokenizer.json"],
    ];
    for (const [part, differs, todo] of parts) {
      const client = clientOf(coordinator.address, "stranger", { identity: { ...IDENTITY, ...part } });
      await assert.rejects(client.end, failsWith("model_mismatch", "client stranger has the ", differs, todo));
      assert.match(logged.at(-1) ?? "", new RegExp(`client refused.*stranger.*${differs}`));
    }
  });

  it("is told that its chat template is another one, where both have rows of messages", async (t) => {
    const withTemplate = (digits: string | null) => ({
      identity: { ...IDENTITY, chatTemplateHash: digits === null ? null : digits.repeat(32) },
    });
    joined(t, clientOf(coordinator.address, "no messages", withTemplate(null)));
    await arrived(coordinator.pool, "no messages");
    joined(t, clientOf(coordinator.address, "first", withTemplate("01")));
    await arrived(coordinator.pool, "first");
    joined(t, clientOf(coordinator.address, "none either", withTemplate(null)));
    await arrived(coordinator.pool, "none either");
    await assert.rejects(
      clientOf(coordinator.address, "second", withTemplate("02")).end,
      failsWith(
        "model_mismatch",
        `chat template ${"02".repeat(32)}, the run ${"01".repeat(32)}`,
        "chat_template.jinja",
      ),
    );
  });

  it("is told that its name is taken, and the holder of the name works on", async (t) => {
    joined(t, clientOf(coordinator.address, "twin"));
    await arrived(coordinator.pool, "twin");
    assert.ok((await coordinator.pool.run("first", "twin", evaluateTask())).ok);
    await assert.rejects(clientOf(coordinator.address, "twin").end, failsWith("name_taken", "twin"));
    assert.ok((await coordinator.pool.run("second", "twin", evaluateTask())).ok);
  });

  it("comes back under its name at once with its state folder, and without it once the old one is given up", async (t) => {
    // The clock that decides about silence is the test's own: a slow machine neither gives up a client nor holds one too long. Nothing
    // looks at it regularly, which would take its leaps for pauses of the process.
    const [folder, state] = [temporaryFolder(), temporaryFolder()];
    let nowMs = 0;
    const coordinator = await coordinatorAt(folder.path, {
      silenceMs: 60_000,
      now: () => nowMs,
      every: () => () => {},
    });
    t.after(async () => {
      await coordinator.close();
      folder.remove();
      state.remove();
    });
    const first = clientOf(coordinator.address, "phoenix", { stateDir: state.path });
    await arrived(coordinator.pool, "phoenix");
    assert.ok((await coordinator.pool.run("1", "phoenix", evaluateTask())).ok);
    await first.stop();
    const second = clientOf(coordinator.address, "phoenix", { stateDir: state.path });
    assert.ok((await coordinator.pool.run("2", "phoenix", evaluateTask())).ok);
    await second.stop();
    await assert.rejects(clientOf(coordinator.address, "phoenix").end, failsWith("name_taken"));
    // The coordinator may learn late that the call it held for the second one is gone.
    while ((await coordinator.pool.clients()).some(({ live }) => live)) {
      nowMs += 60_001;
      await sleep(5);
    }
    joined(t, clientOf(coordinator.address, "phoenix"));
    assert.ok((await coordinator.pool.run("3", "phoenix", evaluateTask())).ok);
  });

  it("ends when another process takes over its identity", async (t) => {
    const identity = "the-same-identity-twice";
    const first = joined(t, clientOf(coordinator.address, "double", { instanceId: identity }));
    await arrived(coordinator.pool, "double");
    assert.ok((await coordinator.pool.run("1", "double", evaluateTask())).ok);
    joined(t, clientOf(coordinator.address, "double", { instanceId: identity }));
    await assert.rejects(first.end, failsWith("name_taken", "double"));
    assert.ok((await coordinator.pool.run("2", "double", evaluateTask())).ok);
  });

  it("fails its task alone: others go on, and what it holds does not leak through the message", async (t) => {
    const runner: TaskRunner = {
      run: () => Promise.reject(new KindredError("invalid_data", 'row 3: "my secret diary" has no label')),
    };
    joined(t, clientOf(coordinator.address, "broken", { runner }));
    joined(t, clientOf(coordinator.address, "healthy"));
    await arrived(coordinator.pool, "broken");
    await arrived(coordinator.pool, "healthy");
    const [broken, healthy] = await Promise.all([
      coordinator.pool.run("t", "broken", evaluateTask()),
      coordinator.pool.run("t", "healthy", evaluateTask()),
    ]);
    assert.ok(healthy.ok);
    assert.ok(!broken.ok);
    assert.equal(broken.code, "invalid_data");
    assert.ok(broken.message.includes("broken") && !broken.message.includes("diary"), broken.message);
    // It is still there for the next task.
    const again = await coordinator.pool.run("t2", "broken", evaluateTask());
    assert.ok(!again.ok && again.code === "invalid_data");
  });

  for (const [what, field, spoil] of [
    ["a loss that is no number", "losses[1]", (r: UnsentResult) => ({ ...r, losses: [1, Number.NaN, 1] })],
    ["more losses than steps", "losses", (r: UnsentResult) => ({ ...r, losses: [1, 1, 1, 1] })],
    ["a negative cost", "cost.flops", (r: UnsentResult) => ({ ...r, cost: { ...r.cost, flops: -1 } })],
    ["a best step beyond the last", "best_step", (r: UnsentResult) => ({ ...r, bestStep: 4 })],
  ] as const) {
    it(`fails its task by ${what}, in a message that names it`, async (t) => {
      const runner: TaskRunner = { run: async (task, io) => spoil(await count(task, io)) as UnsentResult };
      joined(t, clientOf(coordinator.address, `spoiler ${what}`, { runner }));
      await arrived(coordinator.pool, `spoiler ${what}`);
      const outcome = await coordinator.pool.run("t", `spoiler ${what}`, trainTask());
      assert.ok(!outcome.ok);
      assert.equal(outcome.code, "invalid_message");
      assert.ok(outcome.message.includes(field), outcome.message);
    });
  }

  it("that falls silent fails its tasks with a reason", async () => {
    const client = clientOf(coordinator.address, "silent");
    await arrived(coordinator.pool, "silent");
    assert.ok((await coordinator.pool.run("1", "silent", evaluateTask())).ok);
    await client.stop();
    const outcome = await settled(coordinator.pool.run("2", "silent", evaluateTask()));
    assert.ok(!outcome.ok);
    assert.equal(outcome.code, "unavailable");
    assert.match(outcome.message, /client silent: no sign of life for [\d.]+ s/);
  });

  it("that hangs in a task, heart still beating, fails at the task's deadline and is told to stop", async (t) => {
    let stopped = 0;
    const runner: TaskRunner = {
      run: async (task, io) => {
        if (task.kind === "evaluate" && task.examplesLimit === 1) {
          io.progress(0.25);
          await sleep(60_000, undefined, { signal: io.signal }).catch(() => stopped++);
        }
        return count(task, io);
      },
    };
    joined(t, clientOf(coordinator.address, "hanging", { runner }));
    await arrived(coordinator.pool, "hanging");
    await coordinator.pool.run("0", "hanging", evaluateTask());
    const shares: number[] = [];
    const onProgress = (fraction: number) => shares.push(fraction);
    const hanging = coordinator.pool.run("1", "hanging", evaluateTask([], 1), { deadlineMs: 200, onProgress });
    while (!shares.includes(0.25)) await sleep(5);
    void time.sleep(550); // a tick or two; more than the deadline, less than the silence
    await time.pass();
    const hung = await hanging;
    assert.ok(!hung.ok);
    assert.equal(hung.code, "task_failed");
    assert.match(hung.message, /no progress beyond 25 % for [\d.]+ s \(deadline 0\.2 s\)/);
    assert.ok((await coordinator.pool.run("2", "hanging", evaluateTask())).ok);
    assert.equal(stopped, 1);
  });

  it("is told to stop a withdrawn task, which can be asked for again under its key", async (t) => {
    let [runs, ends] = [0, 0];
    const runner: TaskRunner = {
      run: async (task, io) => {
        if (runs++ === 0) await sleep(60_000, undefined, { signal: io.signal }).finally(() => ends++);
        return count(task, io);
      },
    };
    joined(t, clientOf(coordinator.address, "withdrawn", { runner }));
    await arrived(coordinator.pool, "withdrawn");
    const controller = new AbortController();
    const first = coordinator.pool.run("t", "withdrawn", evaluateTask(), { signal: controller.signal });
    while (runs === 0) await sleep(10);
    controller.abort();
    await assert.rejects(first, failsWith("cancelled"));
    while (ends === 0) await sleep(10);
    const second = await coordinator.pool.run("t", "withdrawn", evaluateTask());
    assert.ok(second.ok);
    assert.equal(runs, 2);
  });

  it("stops when it is told to, also in the middle of a task", async () => {
    let started: () => void = () => undefined;
    const begun = new Promise<void>((resolve) => {
      started = resolve;
    });
    // Without the signal it would never end.
    const runner: TaskRunner = {
      run: (_, { signal }) => {
        started();
        return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
      },
    };
    const client = clientOf(coordinator.address, "stopping", { runner });
    await arrived(coordinator.pool, "stopping");
    const outcome = coordinator.pool.run("t", "stopping", evaluateTask());
    await begun;
    await client.stop();
    await assert.rejects(client.end, failsWith("cancelled"));
    assert.ok(!(await settled(outcome)).ok);
  });

  it("that is not enrolled is an outcome, not an exception", async () => {
    const outcome = await coordinator.pool.run("t", "nobody", evaluateTask());
    assert.ok(!outcome.ok);
    assert.equal(outcome.code, "not_found");
  });

  it("does not get a task that cannot be sent exactly", async () => {
    const task = { ...evaluateTask(), examplesLimit: 1.5 };
    await assert.rejects(coordinator.pool.run("t", "anyone", task), failsWith("invalid_option", "examplesLimit"));
    const negative = { ...trainTask(), validateEvery: -1 };
    await assert.rejects(coordinator.pool.run("t", "anyone", negative), failsWith("invalid_option", "validateEvery"));
  });
});

describe("a coordinator that restarts on its state", () => {
  it("finds its clients and their results again, and the task under way is not lost", async (t) => {
    const folder = temporaryFolder();
    const first = await coordinatorAt(folder.path);
    let runs = 0;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const runner: TaskRunner = {
      run: async (task, io) => {
        runs++;
        if (task.kind === "trainAdapter") await held;
        return count(task, io);
      },
    };
    joined(t, clientOf(first.address, "carol", { runner }));
    await first.pool.whenEnrolled(1);
    const done = await first.pool.run("done", "carol", evaluateTask());
    const cut = first.pool.run("cut", "carol", trainTask());
    while (runs < 2) await sleep(10);
    await Promise.all([assert.rejects(cut, failsWith("cancelled")), first.close()]);

    const second = await coordinatorAt(folder.path, { listen: first.address });
    t.after(async () => {
      await second.close();
      folder.remove();
    });
    assert.deepEqual(
      (await second.pool.clients()).map(({ name }) => name),
      ["carol"],
    );
    assert.deepEqual(await second.pool.run("done", "carol", evaluateTask()), done);
    const resumed = second.pool.run("cut", "carol", trainTask());
    release();
    const outcome = await resumed;
    assert.ok(outcome.ok);
    assert.equal(runs, 2, "the client worked on through the restart and did its task once");
    const changed = second.pool.run("done", "carol", evaluateTask([], 7));
    await assert.rejects(changed, failsWith("internal", "another specification"));
  });

  it("without its state welcomes a client that had enrolled before", async (t) => {
    const [one, two] = [temporaryFolder(), temporaryFolder()];
    const first = await coordinatorAt(one.path);
    joined(t, clientOf(first.address, "dave"));
    await first.pool.whenEnrolled(1);
    await first.close();
    const second = await coordinatorAt(two.path, { listen: first.address });
    t.after(async () => {
      await second.close();
      one.remove();
      two.remove();
    });
    await second.pool.whenEnrolled(1);
    assert.ok((await second.pool.run("t", "dave", evaluateTask())).ok);
  });

  it("does not blame clients for its own deafness", async (t) => {
    const folder = temporaryFolder();
    let nowMs = 0;
    let tick: () => void = () => undefined;
    const every = (look: () => void): (() => void) => {
      tick = look;
      return () => undefined;
    };
    const coordinator = await coordinatorAt(folder.path, { silenceMs: 100_000, now: () => nowMs, every });
    t.after(async () => {
      await coordinator.close();
      folder.remove();
    });
    let release: () => void = () => undefined;
    let started: () => void = () => undefined;
    const [held, begun] = [
      new Promise<void>((resolve) => {
        release = resolve;
      }),
      new Promise<void>((resolve) => {
        started = resolve;
      }),
    ];
    const runner: TaskRunner = {
      run: async (task, io) => {
        started();
        await held;
        return count(task, io);
      },
    };
    joined(t, clientOf(coordinator.address, "patient", { runner }));
    await coordinator.pool.whenEnrolled(1);
    const outcome = coordinator.pool.run("t", "patient", evaluateTask());
    await begun;
    nowMs += 1_000_000; // the event loop heard nothing, and its timer comes before what was sent meanwhile
    tick();
    release();
    assert.ok((await outcome).ok);
  });
});
