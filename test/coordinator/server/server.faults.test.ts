/** A client that violates the protocol: calls made by hand on a real connection. */
import assert from "node:assert/strict";
import { after, before, beforeEach, describe, it } from "node:test";
import { crc32 } from "node:zlib";
import { Connection } from "../../../client/outbox/connection.js";
import { refOf, uploadBlob } from "../../../client/outbox/upload.js";
import type { RunEvent } from "../../../coordinator/events/events.js";
import type { TaskOutcome } from "../../../coordinator/roster/pool.js";
import { KindredError } from "../../../shared/base/errors.js";
import { encodeBlobRef } from "../../../shared/wire/fields.js";
import type { EnrolRequest } from "../../../shared/wire/gen/kindred/v1/EnrolRequest.js";
import { MAX_CHUNK_BYTES, MAX_UPLOADS_PER_TASK, PROTOCOL_VERSION } from "../../../shared/wire/limits.js";
import { channelCredentials } from "../../../shared/wire/security.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { decodeTask, encodeResult } from "../../../tasks/envelope.js";
import type { TrainAdapterResult } from "../../../tasks/train-adapter/message.js";
import {
  bytesOf,
  type Coordinator,
  coordinatorAt,
  evaluateTask,
  IDENTITY,
  ROWS,
  temporaryFolder,
  trainTask,
} from "../../support/federation.js";

const MAX_BLOB_BYTES = 3_000_000;
const stop = new AbortController();
const retry = { signal: stop.signal, random: () => 0 };

function code(expected: string, ...parts: string[]) {
  return (error: unknown) => {
    assert.ok(error instanceof KindredError, String(error));
    assert.equal(error.code, expected, error.message);
    for (const part of parts) assert.ok(error.message.includes(part), `${error.message} should name ${part}`);
    return true;
  };
}

describe("a coordinator", () => {
  const folder = temporaryFolder();
  let coordinator: Coordinator;
  let connection: Connection;
  let serial = 0;
  let name = "";
  let taskId = "";
  let outcome: Promise<TaskOutcome>;
  const told: RunEvent[] = [];

  function connect(): Connection {
    const { address } = coordinator;
    return new Connection({ address, credentials: channelCredentials(address), signal: stop.signal });
  }

  function enrolment(clientName: string, change: Partial<EnrolRequest> = {}): EnrolRequest {
    const instanceId = `the-instance-of-${clientName}`;
    return {
      protocolVersion: PROTOCOL_VERSION,
      clientName,
      instanceId,
      ...IDENTITY,
      chatTemplateHash: "",
      endOfFreeAnswers: "",
      endOfOtherRows: "",
      rows: ROWS,
      ...change,
    };
  }

  /** Sends a blob by hand, chunks changed by `spoil`. */
  async function send(
    ref: BlobRef,
    bytes: Uint8Array,
    spoil: (chunk: { offset: string; data: Buffer; crc32: number }, index: number) => object = (chunk) => chunk,
  ) {
    const stream = connection.upload();
    const pieces = Math.ceil(bytes.length / MAX_CHUNK_BYTES);
    try {
      await stream.write({ header: { taskId, blob: encodeBlobRef(ref) } });
      for (let i = 0; i < pieces; i++) {
        const data = Buffer.from(bytes.subarray(i * MAX_CHUNK_BYTES, (i + 1) * MAX_CHUNK_BYTES));
        const chunk = { offset: String(i * MAX_CHUNK_BYTES), data, crc32: crc32(data) };
        await stream.write({ chunk: spoil(chunk, i) });
      }
      stream.end();
      return await stream.reply;
    } finally {
      stream.cancel();
    }
  }

  function trainResult(values: BlobRef, change: Partial<TrainAdapterResult> = {}) {
    const cost = { flops: 1, computeSeconds: 1, peakRssBytes: 1 };
    const result = {
      kind: "trainAdapter",
      values,
      losses: [1, 2, 3],
      examples: 5,
      validation: [],
      cost,
      ...change,
    } as const;
    return encodeResult(taskId, result);
  }

  before(async () => {
    coordinator = await coordinatorAt(folder.path, {
      maxBlobBytes: MAX_BLOB_BYTES,
      events: { emit: (event) => told.push(event) },
    });
  });
  after(async () => {
    stop.abort();
    await coordinator.close();
    folder.remove();
  });
  beforeEach(async () => {
    name = `client-${++serial}`;
    connection = connect();
    connection.sessionToken = (await connection.enrol(enrolment(name))).sessionToken;
    outcome = coordinator.pool.run("train", name, trainTask());
    outcome.catch(() => undefined);
    taskId = (await connection.nextTask(10_000)).task?.taskId ?? "";
  });

  it("does not listen where another process does, and says what to do", async () => {
    const second = temporaryFolder();
    await assert.rejects(coordinatorAt(second.path, { listen: coordinator.address }), {
      code: "invalid_option",
      message: `cannot listen at ${coordinator.address}: the port is in use; stop the process that listens there, or choose another port`,
    });
    second.remove();
  });

  it("refuses a client without a transform that the run needs, by its name, and admits the others", async (t) => {
    const folder = temporaryFolder();
    const strict = await coordinatorAt(folder.path, { transforms: ["int8"] });
    t.after(async () => {
      await strict.close();
      folder.remove();
    });
    const { address } = strict;
    const dial = (): Connection =>
      new Connection({ address, credentials: channelCredentials(address), signal: stop.signal });
    await assert.rejects(dial().enrol(enrolment("older")), code("unsupported", "older", "int8", "update the client"));
    const named = { transforms: ["fp16"] };
    await assert.rejects(dial().enrol(enrolment("halves", named)), code("unsupported", "int8", "it has fp16"));
    await dial().enrol(enrolment("able", { transforms: ["fp16", "int8"] }));
    const many = { transforms: Array(33).fill("x") };
    await assert.rejects(dial().enrol(enrolment("many", many)), code("invalid_message", "length of transforms"));
    assert.deepEqual(
      (await strict.pool.clients()).map(({ name }) => name),
      ["able"],
    );
  });

  it("refuses another protocol version and names both", async () => {
    const request = enrolment("late", { protocolVersion: PROTOCOL_VERSION + 1 });
    await assert.rejects(
      connect().enrol(request),
      code("protocol_mismatch", `version ${PROTOCOL_VERSION + 1}`, `coordinator ${PROTOCOL_VERSION}`, "update the"),
    );
    await assert.rejects(
      connect().enrol(enrolment("zero", { protocolVersion: 0 })),
      code("invalid_message", "protocol_version"),
    );
  });

  it("refuses invalid names, identities and hashes", async () => {
    await assert.rejects(connect().enrol(enrolment("")), code("invalid_message", "client_name"));
    await assert.rejects(connect().enrol(enrolment("a\nb")), code("invalid_message", "client_name"));
    // The control sequence introducer as one character.
    await assert.rejects(connect().enrol(enrolment("a\u009b2J")), code("invalid_message", "client_name"));
    await assert.rejects(connect().enrol(enrolment("x".repeat(201))), code("invalid_message", "client_name"));
    await assert.rejects(
      connect().enrol(enrolment("a", { instanceId: "short" })),
      code("invalid_message", "instance_id"),
    );
    await assert.rejects(
      connect().enrol(enrolment("alice", { modelHash: "AB" })),
      code("invalid_message", "model_hash"),
    );
    await assert.rejects(connect().enrol({ ...enrolment("alice"), rows: null }), code("invalid_message", "rows"));
  });

  it("serves no caller without a session", async () => {
    const stranger = connect();
    await assert.rejects(stranger.nextTask(0), code("not_found", "enrol"));
    stranger.sessionToken = "guessed";
    await assert.rejects(stranger.nextTask(0), code("not_found", "enrol again"));
    await assert.rejects(stranger.reportFailure({ taskId, code: "internal", message: "" }), code("not_found"));
  });

  it("gives a client that asks again the same open task", async () => {
    assert.equal((await connection.nextTask(0)).task?.taskId, taskId);
    const again = connect();
    again.sessionToken = (await again.enrol(enrolment(name))).sessionToken;
    assert.equal((await again.nextTask(0)).task?.taskId, taskId);
  });

  it("accepts a result that is reported twice once, and keeps the first", async () => {
    const bytes = bytesOf(1_500_000, "twice");
    await uploadBlob(connection, taskId, refOf(bytes), bytes, retry);
    const message = trainResult(refOf(bytes));
    assert.deepEqual(await connection.reportResult(message), { accepted: true, reason: "" });
    assert.deepEqual(await connection.reportResult(message), { accepted: true, reason: "" });
    await connection.reportResult(trainResult(refOf(bytes), { losses: [9, 9, 9] }));
    await connection.reportFailure({ taskId, code: "internal", message: "changed my mind" });
    const settled = await outcome;
    assert.ok(settled.ok && settled.result.kind === "trainAdapter");
    assert.deepEqual(settled.result.losses, [1, 2, 3]);
    assert.deepEqual(await coordinator.pool.run("train", name, trainTask()), settled);
  });

  it("accepts no result whose tensors were not uploaded for the task", async () => {
    const foreign = await coordinator.pool.putBlob(bytesOf(100, "somebody else's"));
    await assert.rejects(connection.reportResult(trainResult(foreign)), code("not_found", foreign.sha256, "upload"));
    const bytes = bytesOf(100, "its own");
    await uploadBlob(connection, taskId, refOf(bytes), bytes, retry);
    assert.ok((await connection.reportResult(trainResult(refOf(bytes)))).accepted);
    assert.ok((await outcome).ok);
  });

  it("accepts no result of another kind than the task's", async () => {
    const cost = { flops: 0, computeSeconds: 0, peakRssBytes: 0 };
    const receipt = await connection.reportResult(encodeResult(taskId, { kind: "evaluate", scores: [score()], cost }));
    assert.equal(receipt.accepted, false);
    assert.match(receipt.reason, /trainAdapter/);
    assert.equal((await outcome).ok, false);
  });

  it("allows no client to access another's task", async () => {
    const other = connect();
    other.sessionToken = (await other.enrol(enrolment(`${name}-other`))).sessionToken;
    const header = { taskId, blob: encodeBlobRef(refOf(bytesOf(10, "x"))) };
    await assert.rejects(other.uploadStatus(header, stop.signal), code("not_found"));
    assert.equal((await other.reportFailure({ taskId, code: "internal", message: "no" })).accepted, false);
    assert.equal((await other.reportProgress({ taskId, fraction: 1 })).wanted, false);
    assert.equal((await connection.reportProgress({ taskId, fraction: 0.5 })).wanted, true);
  });

  it("gives a client only blobs that its own task names", async () => {
    const secret = await coordinator.pool.putBlob(bytesOf(100, "secret"));
    const request = { taskId, blob: encodeBlobRef(secret), offset: "0" };
    await assert.rejects(
      async () => {
        for await (const _ of connection.download(request)) assert.fail("bytes of a blob that the task does not name");
      },
      (error) => code("not_found", secret.sha256)(connection.error(error)),
    );
  });

  it("refuses a chunk with a wrong checksum, keeps the chunks before it, and accepts the rest when sent again", async () => {
    const bytes = bytesOf(2_500_000, "flipped");
    const ref = refOf(bytes);
    const flip = (chunk: { data: Buffer }, i: number) => {
      if (i === 2) chunk.data[17] = (chunk.data[17] ?? 0) ^ 4;
      return chunk;
    };
    await assert.rejects(send(ref, bytes, flip), code("checksum_mismatch", ref.sha256, String(2 * MAX_CHUNK_BYTES)));
    const status = await connection.uploadStatus({ taskId, blob: encodeBlobRef(ref) }, stop.signal);
    assert.deepEqual(status, { held: String(2 * MAX_CHUNK_BYTES), complete: false });
    await uploadBlob(connection, taskId, ref, bytes, retry);
    assert.ok((await connection.reportResult(trainResult(ref))).accepted);
    assert.ok(Buffer.from(await coordinator.pool.getBlob(ref)).equals(bytes));
  });

  it("keeps nothing of a blob whose content does not have its hash", async () => {
    const bytes = bytesOf(1_200_000, "liar");
    const ref = { ...refOf(bytes), sha256: refOf(bytesOf(10, "other")).sha256 };
    await assert.rejects(send(ref, bytes), code("checksum_mismatch", ref.sha256));
    const status = await connection.uploadStatus({ taskId, blob: encodeBlobRef(ref) }, stop.signal);
    assert.deepEqual(status, { held: "0", complete: false });
    await assert.rejects(coordinator.pool.getBlob(ref), code("state_unavailable"));
    // The client's own code tries a few times and then gives up.
    await assert.rejects(uploadBlob(connection, taskId, ref, bytes, retry), code("checksum_mismatch"));
  });

  it("refuses gaps, chunks beyond the size, and chunks or blobs that are too large", async () => {
    const bytes = bytesOf(2_000_000, "gap");
    const ref = refOf(bytes);
    const gap = (chunk: object, i: number) => (i === 1 ? { ...chunk, offset: "1048577" } : chunk);
    await assert.rejects(send(ref, bytes, gap), code("invalid_message", "chunk.offset"));
    const short = { ...refOf(bytes.subarray(1)), size: 1_100_000 };
    await assert.rejects(send(short, bytes), code("too_large", "1100000"));
    const long = bytesOf(MAX_CHUNK_BYTES + 1, "long");
    const swollen = () => ({ offset: "0", data: Buffer.from(long), crc32: crc32(long) });
    await assert.rejects(send({ ...refOf(long) }, long, swollen), code("invalid_message", "chunk.data"));
    const huge = { sha256: ref.sha256, size: MAX_BLOB_BYTES + 1 };
    await assert.rejects(send(huge, bytes), code("too_large", String(MAX_BLOB_BYTES)));
  });

  it("keeps the chunks of an upload that ends early", async () => {
    const bytes = bytesOf(2_000_000, "early");
    const ref = refOf(bytes);
    await assert.rejects(send(ref, bytes.subarray(0, MAX_CHUNK_BYTES)), code("unavailable", "go on"));
    const status = await connection.uploadStatus({ taskId, blob: encodeBlobRef(ref) }, stop.signal);
    assert.equal(status.held, String(MAX_CHUNK_BYTES));
    await uploadBlob(connection, taskId, ref, bytes, retry);
  });

  it("accepts an empty blob", async () => {
    const empty = new Uint8Array(0);
    await uploadBlob(connection, taskId, refOf(empty), empty, retry);
    assert.equal((await coordinator.pool.getBlob(refOf(empty))).length, 0);
  });

  it("limits the number of blobs of one task", async () => {
    for (let i = 0; i < MAX_UPLOADS_PER_TASK; i++) {
      const bytes = bytesOf(10, "many", i);
      await uploadBlob(connection, taskId, refOf(bytes), bytes, retry);
    }
    const more = bytesOf(10, "many", "more");
    await assert.rejects(uploadBlob(connection, taskId, refOf(more), more, retry), code("too_large"));
  });

  it("keeps one file of a blob, whatever sizes its client announces for it", async () => {
    const bytes = bytesOf(1_000, "sizes");
    const ref = refOf(bytes);
    await assert.rejects(send({ ...ref, size: 2_000 }, bytes), code("unavailable"));
    await assert.rejects(send({ ...ref, size: 2_001 }, bytes), code("invalid_message", "blob.size", "2000", "2001"));
  });

  it("stores one event per percent of progress, in however small steps a client reports it", async () => {
    for (let step = 0; step <= 300; step++) await connection.reportProgress({ taskId, fraction: step / 10_000 });
    await connection.reportProgress({ taskId, fraction: 0.01 });
    await connection.reportFailure({ taskId, code: "task_failed", message: "" });
    await outcome;
    const shares = told.flatMap((event) =>
      event.type === "task-progress" && event.client === name ? [event.fraction] : [],
    );
    assert.deepEqual(shares, [0, 0.01, 0.02, 0.03]);
  });

  it("answers a waiting call when a task comes, else with nothing at the end of the wait", async () => {
    await connection.reportFailure({ taskId, code: "task_failed", message: "first things first" });
    const began = performance.now();
    assert.ok((await connection.nextTask(300)).none);
    assert.ok(performance.now() - began >= 290);
    const waiting = connection.nextTask(10_000);
    const second = coordinator.pool.run("second", name, evaluateTask());
    const next = await waiting;
    assert.equal(next.task?.kind, "evaluate");
    await connection.reportFailure({ taskId: next.task.taskId, code: "no such code", message: "x" });
    const settled = await second;
    assert.ok(!settled.ok && settled.code === "task_failed");
  });

  it("gives a client its tasks one after the other, in order", async () => {
    const later = ["b", "c"].map((key) => coordinator.pool.run(key, name, evaluateTask([], key === "b" ? 1 : 2)));
    const seen: (number | undefined)[] = [];
    for (let i = 0; i < 3; i++) {
      const { task: message } = await connection.nextTask(5_000);
      assert.ok(message);
      const { task } = decodeTask(message);
      seen.push(task.kind === "evaluate" ? task.examplesLimit : undefined);
      await connection.reportFailure({ taskId: message.taskId, code: "task_failed", message: "" });
    }
    assert.deepEqual(seen, [undefined, 1, 2]);
    await Promise.all([outcome, ...later]);
  });

  it("joins two calls for the same task and refuses another task under the same key", async () => {
    const again = coordinator.pool.run("train", name, trainTask());
    await assert.rejects(
      coordinator.pool.run("train", name, evaluateTask()),
      code("internal", "another specification"),
    );
    await connection.reportFailure({ taskId, code: "task_failed", message: "" });
    assert.deepEqual(await again, await outcome);
  });
});

function score() {
  return { nllSum: 1, tokens: 1, correct: 0, choiceRows: 0, examples: 1 };
}
