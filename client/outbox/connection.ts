/**
 * The client's one connection to the coordinator, dialled outwards. Every byte a client sends passes through this folder.
 * Calls return promises that reject with KindredErrors; who repeats them is the session's matter.
 */
import {
  Channel,
  type ChannelCredentials,
  type ClientReadableStream,
  Metadata,
  type ServiceError,
} from "@grpc/grpc-js";
import { KindredError } from "../../shared/base/errors.js";
import { isLoopback, parseAddress } from "../../shared/wire/address.js";
import { fromStatus } from "../../shared/wire/errors.js";
import type { Chunk__Output } from "../../shared/wire/gen/kindred/v1/Chunk.js";
import type { DownloadRequest } from "../../shared/wire/gen/kindred/v1/DownloadRequest.js";
import type { EnrolReply__Output } from "../../shared/wire/gen/kindred/v1/EnrolReply.js";
import type { EnrolRequest } from "../../shared/wire/gen/kindred/v1/EnrolRequest.js";
import type { NextTaskReply__Output } from "../../shared/wire/gen/kindred/v1/NextTaskReply.js";
import type { TaskFailure } from "../../shared/wire/gen/kindred/v1/TaskFailure.js";
import type { TaskProgress } from "../../shared/wire/gen/kindred/v1/TaskProgress.js";
import type { TaskProgressReply__Output } from "../../shared/wire/gen/kindred/v1/TaskProgressReply.js";
import type { TaskReceipt__Output } from "../../shared/wire/gen/kindred/v1/TaskReceipt.js";
import type { TaskResult } from "../../shared/wire/gen/kindred/v1/TaskResult.js";
import type { UploadHeader } from "../../shared/wire/gen/kindred/v1/UploadHeader.js";
import type { UploadMessage } from "../../shared/wire/gen/kindred/v1/UploadMessage.js";
import type { UploadReply__Output } from "../../shared/wire/gen/kindred/v1/UploadReply.js";
import type { UploadStatusReply__Output } from "../../shared/wire/gen/kindred/v1/UploadStatusReply.js";
import { MAX_MESSAGE_BYTES } from "../../shared/wire/limits.js";
import { SESSION_KEY, services } from "../../shared/wire/services.js";

/** A call that takes longer has lost its peer; beyond it the caller asks again. */
const CALL_TIMEOUT_MS = 30_000;

export interface ConnectionOptions {
  readonly address: string;
  readonly credentials: ChannelCredentials;
  /** Fires when the client is to stop: all calls end with `cancelled`. */
  readonly signal: AbortSignal;
  /** Own TCP connection even where other clients of the process dial the same address. @default false */
  readonly ownConnection?: boolean;
}

export interface CallOptions {
  /** Milliseconds beyond the usual timeout that the other side may take. @default 0 */
  readonly waitMs?: number;
  readonly signal?: AbortSignal;
}

type Unary<Q, R> = (
  request: Q,
  metadata: Metadata,
  options: { deadline: number },
  callback: (error: ServiceError | null, reply?: R) => void,
) => { cancel(): void };

/** An upload under way. */
export interface UploadStream {
  /** Resolves when the stream takes more. Rejects as `reply` does. */
  write(message: UploadMessage): Promise<void>;
  end(): void;
  cancel(): void;
  readonly reply: Promise<UploadReply__Output>;
}

export class Connection {
  /** Presented with every call once enrolled. */
  sessionToken = "";
  private readonly channel: Channel;
  private readonly enrolment: InstanceType<typeof services.Enrolment>;
  private readonly tasks: InstanceType<typeof services.Tasks>;
  private readonly blobs: InstanceType<typeof services.Blobs>;
  readonly peer: string;

  constructor(private readonly options: ConnectionOptions) {
    const { address, credentials } = options;
    this.peer = `coordinator at ${address}`;
    this.channel = new Channel(address, credentials, {
      "grpc.max_receive_message_length": MAX_MESSAGE_BYTES,
      "grpc.max_send_message_length": MAX_MESSAGE_BYTES,
      // The session repeats calls itself, and knows which are safe; the channel must only find the way back quickly.
      "grpc.enable_retries": 0,
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2_000,
      "grpc.keepalive_time_ms": 30_000,
      "grpc.keepalive_timeout_ms": 60_000,
      "grpc.use_local_subchannel_pool": options.ownConnection ? 1 : 0,
      "grpc.enable_http_proxy": isLoopback(parseAddress(address).host) ? 0 : 1,
    });
    const override = { channelOverride: this.channel };
    this.enrolment = new services.Enrolment(address, credentials, override);
    this.tasks = new services.Tasks(address, credentials, override);
    this.blobs = new services.Blobs(address, credentials, override);
  }

  enrol(request: EnrolRequest): Promise<EnrolReply__Output> {
    return this.call<EnrolRequest, EnrolReply__Output>(this.enrolment.enrol.bind(this.enrolment), request);
  }

  nextTask(waitMs: number): Promise<NextTaskReply__Output> {
    const options = { waitMs };
    return this.call<{ waitMs: number }, NextTaskReply__Output>(this.tasks.nextTask.bind(this.tasks), options, options);
  }

  reportProgress(request: TaskProgress): Promise<TaskProgressReply__Output> {
    return this.call<TaskProgress, TaskProgressReply__Output>(this.tasks.reportProgress.bind(this.tasks), request);
  }

  reportResult(request: TaskResult): Promise<TaskReceipt__Output> {
    return this.call<TaskResult, TaskReceipt__Output>(this.tasks.reportResult.bind(this.tasks), request);
  }

  reportFailure(request: TaskFailure): Promise<TaskReceipt__Output> {
    return this.call<TaskFailure, TaskReceipt__Output>(this.tasks.reportFailure.bind(this.tasks), request);
  }

  uploadStatus(request: UploadHeader, signal: AbortSignal): Promise<UploadStatusReply__Output> {
    const status = this.blobs.uploadStatus.bind(this.blobs);
    return this.call<UploadHeader, UploadStatusReply__Output>(status, request, { signal });
  }

  upload(): UploadStream {
    let settle: (error: ServiceError | null, reply?: UploadReply__Output) => void = () => undefined;
    const reply = new Promise<UploadReply__Output>((resolve, reject) => {
      settle = (error, value) => (error || !value ? reject(fromStatus(error, this.peer)) : resolve(value));
    });
    reply.catch(() => undefined); // a cut is also seen by the one who writes
    const stream = this.blobs.upload(this.metadata(), (error, value) => settle(error, value));
    return {
      reply,
      end: () => stream.end(),
      cancel: () => stream.cancel(),
      write: async (message) => {
        if (stream.write(message)) return;
        const drained = new Promise<void>((resolve) => stream.once("drain", resolve));
        await Promise.race([drained, reply]);
      },
    };
  }

  /** Errors of the stream are to be passed through `error`. */
  download(request: DownloadRequest): ClientReadableStream<Chunk__Output> {
    return this.blobs.download(request, this.metadata());
  }

  /** What a failed stream means. */
  error(error: unknown): KindredError {
    return fromStatus(error, this.peer);
  }

  close(): void {
    this.channel.close();
  }

  private metadata(): Metadata {
    const metadata = new Metadata();
    if (this.sessionToken !== "") metadata.set(SESSION_KEY, this.sessionToken);
    return metadata;
  }

  private call<Q, R>(method: Unary<Q, R>, request: Q, { waitMs = 0, signal }: CallOptions = {}): Promise<R> {
    const stop = signal ? AbortSignal.any([this.options.signal, signal]) : this.options.signal;
    return new Promise((resolve, reject) => {
      const stopped = () => new KindredError("cancelled", "stopped");
      if (stop.aborted) return reject(stopped());
      const deadline = Date.now() + CALL_TIMEOUT_MS + waitMs;
      const call = method(request, this.metadata(), { deadline }, (error, reply) => {
        stop.removeEventListener("abort", cancel);
        if (stop.aborted) reject(stopped());
        else if (error || reply === undefined) reject(fromStatus(error, this.peer));
        else resolve(reply);
      });
      const cancel = () => call.cancel();
      stop.addEventListener("abort", cancel, { once: true });
    });
  }
}
