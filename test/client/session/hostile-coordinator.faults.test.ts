/** What a client does with a coordinator that does not keep the rules. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { crc32 } from "node:zlib";
import { type handleUnaryCall, Server, ServerCredentials } from "@grpc/grpc-js";
import { Connection } from "../../../client/outbox/connection.js";
import { downloadBlob } from "../../../client/session/download.js";
import type { TaskIo } from "../../../client/session/session.js";
import { KindredError } from "../../../shared/base/errors.js";
import { channelCredentials } from "../../../shared/wire/security.js";
import { services } from "../../../shared/wire/services.js";
import { encodeTask } from "../../../tasks/envelope.js";
import { clientOf, evaluateTask } from "../../support/federation.js";

type Calls = Readonly<Record<string, unknown>>;
const answering =
  (reply: () => object): handleUnaryCall<object, object> =>
  (_, callback) =>
    callback(null, reply());

async function coordinatorWith(tasks: Calls, blobs: Calls = {}): Promise<{ address: string; close(): void }> {
  const enrolled = { sessionToken: "a", protocolVersion: 2, heartbeatMs: 4_294_967_295, longestWaitMs: 4_294_967_295 };
  const server = new Server();
  server.addService(services.Enrolment.service, { Enrol: answering(() => enrolled) });
  server.addService(services.Tasks.service, tasks as never);
  server.addService(services.Blobs.service, blobs as never);
  const port = await new Promise<number>((resolve, reject) =>
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) =>
      error ? reject(error) : resolve(bound),
    ),
  );
  return { address: `127.0.0.1:${port}`, close: () => server.forceShutdown() };
}

it("a client whose coordinator names a heartbeat longer than any timer does not send heartbeats without a pause", async (t) => {
  let beats = 0;
  const task = encodeTask("0".repeat(64), evaluateTask());
  const coordinator = await coordinatorWith({
    NextTask: answering(() => ({ task })),
    ReportProgress: answering(() => {
      beats++;
      return { wanted: true };
    }),
  });
  let begun: () => void = () => undefined;
  const working = new Promise<void>((resolve) => {
    begun = resolve;
  });
  const run = (_: unknown, { signal }: TaskIo): Promise<never> => {
    begun();
    return new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason), { once: true }));
  };
  const client = clientOf(coordinator.address, "patient", { runner: { run } });
  t.after(async () => {
    await client.stop();
    coordinator.close();
  });
  await working;
  await sleep(200);
  assert.equal(beats, 0);
});

it("a download whose chunks hold no bytes ends with an error that says so", async (t) => {
  const empty = { offset: "0", data: Buffer.alloc(0), crc32: crc32("") };
  const coordinator = await coordinatorWith(
    {},
    {
      Download: (call: { write(chunk: object): boolean; cancelled: boolean }) => {
        const timer = setInterval(() => (call.cancelled ? clearInterval(timer) : call.write(empty)), 1);
        timer.unref();
      },
    },
  );
  const { address } = coordinator;
  const { signal } = new AbortController();
  const connection = new Connection({ address, credentials: channelCredentials(address), signal });
  t.after(() => {
    connection.close();
    coordinator.close();
  });
  const ref = { sha256: "a".repeat(64), size: 10 };
  await assert.rejects(
    downloadBlob(connection, "0".repeat(64), ref, 100, { signal, random: () => 0 }),
    (error) => error instanceof KindredError && error.code === "invalid_message" && /chunk\.data/.test(error.message),
  );
});
