/**
 * The coordinator on the network: binds the three services to the roster and the state. Handlers authenticate, check bounds and
 * translate; the roster decides.
 */

import { crc32 } from "node:zlib";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { asKindredError, KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { TransformName } from "../../shared/transforms/names.js";
import { parseAddress } from "../../shared/wire/address.js";
import {
  blobRef,
  boundBlob,
  finite,
  hash,
  list,
  present,
  refuse,
  text,
  uint53,
  whole,
} from "../../shared/wire/checks.js";
import { isErrorCode } from "../../shared/wire/errors.js";
import type { BlobsHandlers } from "../../shared/wire/gen/kindred/v1/Blobs.js";
import type { Chunk, Chunk__Output } from "../../shared/wire/gen/kindred/v1/Chunk.js";
import type { DownloadRequest__Output } from "../../shared/wire/gen/kindred/v1/DownloadRequest.js";
import type { EnrolmentHandlers } from "../../shared/wire/gen/kindred/v1/Enrolment.js";
import type { EnrolRequest__Output } from "../../shared/wire/gen/kindred/v1/EnrolRequest.js";
import type { NextTaskReply } from "../../shared/wire/gen/kindred/v1/NextTaskReply.js";
import type { TaskResult__Output } from "../../shared/wire/gen/kindred/v1/TaskResult.js";
import type { TasksHandlers } from "../../shared/wire/gen/kindred/v1/Tasks.js";
import type { UploadMessage__Output } from "../../shared/wire/gen/kindred/v1/UploadMessage.js";
import {
  DEFAULT_MAX_BLOB_BYTES,
  LONGEST_WAIT_MS,
  MAX_CHUNK_BYTES,
  MAX_CLIENT_TRANSFORMS,
  MAX_END_TOKEN_LENGTH,
  MAX_ERROR_MESSAGE_LENGTH,
  MAX_INSTANCE_ID_LENGTH,
  MAX_MESSAGE_BYTES,
  MAX_NAME_LENGTH,
  MAX_QUANTIZATION_LENGTH,
  MAX_TRANSFORM_NAME_LENGTH,
  MIN_INSTANCE_ID_LENGTH,
  PROTOCOL_VERSION,
} from "../../shared/wire/limits.js";
import { type SecurityOptions, serverTls } from "../../shared/wire/security.js";
import { messageSize, services } from "../../shared/wire/services.js";
import type { ModelIdentity } from "../../shared/wire/types.js";
import { decodeResult, encodeTask } from "../../tasks/envelope.js";
import type { EventSink } from "../events/events.js";
import { protocolMismatch } from "../roster/enrolment.js";
import type { ClientPool } from "../roster/pool.js";
import type { Receipt } from "../roster/results.js";
import { Roster } from "../roster/roster.js";
import type { StateGuard } from "../storage/guard.js";
import type { State } from "../storage/types.js";
import { type CallContext, type Caller, open, reading, unary, writing } from "./calls.js";
import { type Listener, listenAt } from "./listener.js";
import { Traffic } from "./traffic.js";

export interface ServerOptions {
  /** HOST:PORT; port 0 takes a free one. */
  readonly listen: string;
  readonly security?: SecurityOptions | undefined;
  /** Holds clients, tasks and blobs. The caller closes it after the server. */
  readonly state: State;
  /** What clients must have. @default of each part: that of the first client that names it */
  readonly identity?: Partial<ModelIdentity> | undefined;
  /** Guards the state. @default nobody does: its trouble is its callers' */
  readonly guard?: Pick<StateGuard, "answer" | "paused">;
  /** Transforms of updates that clients must be able to do. @default none */
  readonly transforms?: readonly TransformName[];
  readonly log: Logger;
  /** Receives events about clients and tasks. @default discards them */
  readonly events?: EventSink;
  /** A monotonic clock, milliseconds. @default performance.now */
  readonly now?: () => number;
  /** As `RosterOptions` has it. */
  readonly every?: (tick: () => void, periodMs: number) => () => void;
  /** Silence after which a client is given up, milliseconds. @default 120_000 */
  readonly silenceMs?: number;
  /** Largest blob taken from a client. @default 4 GiB */
  readonly maxBlobBytes?: number;
}

/** A coordinator on the network. */
export interface CoordinatorServer {
  /** HOST:PORT that clients dial. */
  readonly address: string;
  readonly pool: ClientPool;
  readonly traffic: Traffic;
  /** Ends calls and frees the port. Running tasks reject with `cancelled`; a later process takes them up. */
  close(): Promise<void>;
}

/** Time for open calls to end when the coordinator closes. */
const CLOSE_GRACE_MS = 2_000;

/** @throws {KindredError} `insecure`, `invalid_option` (address, TLS files) */
export async function serveCoordinator(options: ServerOptions): Promise<CoordinatorServer> {
  const tls = serverTls(options.listen, options.security);
  const { host } = parseAddress(options.listen);
  const { state, guard } = options;
  const traffic = new Traffic();
  const paused = (): boolean => guard?.paused ?? false;
  const roster = await Roster.open({ ...options, records: state.records, blobs: state.blobs, paused });
  let closing = false;
  const context: CallContext = {
    log: options.log,
    traffic,
    authenticate: (token) => roster.authenticate(token),
    isClosing: () => closing,
    answer: (work) => (guard === undefined ? work() : guard.answer(work)),
  };
  const server = new Server({
    "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
    "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
    // Detects lost peers. The long timeout tolerates an event loop blocked by a long solve.
    "grpc.keepalive_time_ms": 30_000,
    "grpc.keepalive_timeout_ms": 60_000,
  });
  server.addService(services.Enrolment.service, enrolment(context, roster));
  server.addService(services.Tasks.service, tasks(context, roster));
  server.addService(
    services.Blobs.service,
    blobs(context, roster, state, options.maxBlobBytes ?? DEFAULT_MAX_BLOB_BYTES),
  );

  // It does no TLS of its own: the connections that it is given have done theirs.
  const { injectConnection: take } = server.createConnectionInjector(ServerCredentials.createInsecure());
  let listener: Listener;
  try {
    listener = await listenAt({ listen: options.listen, tls, log: options.log, take });
  } catch (error) {
    roster.close();
    server.forceShutdown();
    const reason =
      (error as NodeJS.ErrnoException).code === "EADDRINUSE"
        ? "the port is in use; stop the process that listens there, or choose another port"
        : (error as Error).message;
    const message = `cannot listen at ${options.listen}: ${reason}`;
    throw new KindredError("invalid_option", message, { listen: options.listen }, error);
  }
  const address = `${host.includes(":") ? `[${host}]` : host}:${listener.port}`;
  options.log.info("coordinator listens", { address });

  let closed: Promise<void> | undefined;
  const close = async () => {
    closing = true;
    listener.close();
    roster.close();
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        server.forceShutdown();
        resolve();
      }, CLOSE_GRACE_MS);
      server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  };
  return {
    address,
    pool: roster,
    traffic,
    close: () => {
      closed ??= close();
      return closed;
    },
  };
}

function enrolment(context: CallContext, roster: Roster): EnrolmentHandlers {
  return {
    Enrol: open(
      context,
      (request) => request.clientName,
      async (request) => {
        const protocolVersion = whole("protocol_version", request.protocolVersion, 1, 1_000_000);
        const name = text("client_name", request.clientName, 1, MAX_NAME_LENGTH);
        // Before the other fields: those of another version may be missing.
        if (protocolVersion !== PROTOCOL_VERSION) throw protocolMismatch(name, protocolVersion, PROTOCOL_VERSION);
        const rows = present("rows", request.rows);
        const asked = {
          protocolVersion,
          name,
          instanceId: text("instance_id", request.instanceId, MIN_INSTANCE_ID_LENGTH, MAX_INSTANCE_ID_LENGTH),
          identity: identityOf(request),
          rows: { train: rows.train, validation: rows.validation, test: rows.test },
          transforms: list("transforms", request.transforms, 0, MAX_CLIENT_TRANSFORMS, (name, value) =>
            text(name, value, 1, MAX_TRANSFORM_NAME_LENGTH),
          ),
        };
        const sessionToken = await roster.enrol(asked).catch((error: unknown): never => {
          const { code, message: reason } = asKindredError(error);
          context.log.warn("client refused", { client: name, code, reason });
          throw error;
        });
        return {
          sessionToken,
          protocolVersion: PROTOCOL_VERSION,
          heartbeatMs: roster.heartbeatMs,
          longestWaitMs: LONGEST_WAIT_MS,
        };
      },
    ),
  };
}

function identityOf(request: EnrolRequest__Output): ModelIdentity {
  const { chatTemplateHash: chat } = request;
  return {
    quantization: text("quantization", request.quantization, 1, MAX_QUANTIZATION_LENGTH),
    modelHash: hash("model_hash", request.modelHash),
    tokenizerHash: hash("tokenizer_hash", request.tokenizerHash),
    chatTemplateHash: chat === "" ? null : hash("chat_template_hash", chat),
    endOfFreeAnswers: endToken("end_of_free_answers", request.endOfFreeAnswers),
    endOfOtherRows: endToken("end_of_other_rows", request.endOfOtherRows),
  };
}

function endToken(field: string, value: string): string | null {
  return value === "" ? null : text(field, value, 1, MAX_END_TOKEN_LENGTH);
}

function tasks(context: CallContext, roster: Roster): TasksHandlers {
  return {
    NextTask: unary(context, async (request, { client, signal }): Promise<NextTaskReply> => {
      const next = await roster.nextTask(client, request.waitMs, signal);
      if (next.type === "task") return { task: encodeTask(next.taskId, next.task) };
      if (next.type === "over") return { over: { finished: next.finished, reason: next.reason } };
      return { none: {} };
    }),
    ReportProgress: unary(context, async (request, { client }) => {
      const fraction = finite("fraction", request.fraction, 0);
      if (fraction > 1) refuse("fraction", "0..1", fraction);
      return { wanted: await roster.progress(client, hash("task_id", request.taskId), fraction) };
    }),
    ReportResult: unary(context, (request, { client }) => takeResult(roster, client, request)),
    ReportFailure: unary(context, (request, { client }) => {
      const code = isErrorCode(request.code) ? request.code : "task_failed";
      const message = request.message.slice(0, MAX_ERROR_MESSAGE_LENGTH);
      return roster.fail(client, hash("task_id", request.taskId), code, message);
    }),
  };
}

/** A result that cannot be read fails its task: the client would send the same again. */
async function takeResult(roster: Roster, client: string, message: TaskResult__Output): Promise<Receipt> {
  const taskId = hash("task_id", message.taskId);
  try {
    return await roster.report(client, taskId, () => decodeResult(message), messageSize(message));
  } catch (error) {
    const { code, message: reason } = asKindredError(error);
    if (code !== "invalid_message") throw error;
    return roster.fail(client, taskId, code, `its result cannot be used: ${reason}`);
  }
}

function blobs(context: CallContext, roster: Roster, state: State, maxBlobBytes: number): BlobsHandlers {
  return {
    UploadStatus: unary(context, async (request, { client }) => {
      const taskId = hash("task_id", request.taskId);
      const ref = boundBlob(blobRef("blob", request.blob), maxBlobBytes);
      await roster.checkUpload(client, taskId, ref);
      if (await state.records.isUploaded(taskId, ref)) return { held: String(ref.size), complete: true };
      return { held: String(await state.blobs.held(taskId, ref)), complete: false };
    }),
    Upload: reading(context, (messages, { client }) => receive(roster, state, maxBlobBytes, client, messages)),
    Download: writing(context, (request, caller) => send(roster, state, request, caller)),
  };
}

async function receive(
  roster: Roster,
  state: State,
  maxBlobBytes: number,
  client: string,
  messages: AsyncIterable<UploadMessage__Output>,
): Promise<{ size: string }> {
  const iterator = messages[Symbol.asyncIterator]();
  const first = await iterator.next();
  const header = present("header of the upload", first.done ? undefined : first.value.header);
  const taskId = hash("header.task_id", header.taskId);
  const ref = boundBlob(blobRef("header.blob", header.blob), maxBlobBytes);
  await roster.checkUpload(client, taskId, ref);
  const incoming = await state.blobs.receive(taskId, ref);
  try {
    for (let next = await iterator.next(); !next.done; next = await iterator.next()) {
      const chunk = checkChunk(present("chunk", next.value.chunk), incoming.held, ref.sha256);
      await incoming.append(chunk);
    }
    await incoming.finish();
  } finally {
    await incoming.suspend();
  }
  await state.records.completeUpload(taskId, ref);
  return { size: String(ref.size) };
}

function checkChunk(chunk: Chunk__Output, expected: number, sha256: string): Buffer {
  const offset = uint53("chunk.offset", chunk.offset);
  if (offset !== expected) refuse("chunk.offset", `${expected}, where the blob goes on`, offset);
  const { data } = chunk;
  if (data.length < 1 || data.length > MAX_CHUNK_BYTES)
    refuse("length of chunk.data", `1..${MAX_CHUNK_BYTES}`, data.length);
  if (crc32(data) !== chunk.crc32) {
    const message = `blob ${sha256}: the chunk at ${offset} does not have the CRC-32 of its sender; send it again`;
    throw new KindredError("checksum_mismatch", message, { sha256, offset });
  }
  return data;
}

async function* send(
  roster: Roster,
  state: State,
  request: DownloadRequest__Output,
  { client }: Caller,
): AsyncGenerator<Chunk, void, undefined> {
  const ref = blobRef("blob", request.blob);
  await roster.checkDownload(client, hash("task_id", request.taskId), ref);
  let offset = whole("offset", request.offset, 0, ref.size);
  for await (const data of state.blobs.read(ref, offset, MAX_CHUNK_BYTES)) {
    yield { offset: String(offset), data, crc32: crc32(data) };
    offset += data.length;
  }
}
