/**
 * The common parts of all handlers: authentication, errors, counts of bytes. Handlers are async functions that throw
 * KindredErrors; this file makes gRPC handlers of them.
 */
import {
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  type Metadata,
  type ServerWritableStream,
  status,
} from "@grpc/grpc-js";
import { asKindredError, KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import { toStatus, type WireError } from "../../shared/wire/errors.js";
import { messageSize, onMessageSize, SESSION_KEY } from "../../shared/wire/services.js";
import type { Traffic } from "./traffic.js";

export interface CallContext {
  readonly log: Logger;
  readonly traffic: Traffic;
  /** The client of a session token. @throws {KindredError} */
  authenticate(token: string): string;
  /** Whether the coordinator is closing: any failure is then worth a retry. */
  isClosing(): boolean;
  /** Does the work of a call. Rejects at once where the coordinator's state is in trouble. */
  answer<T>(work: () => Promise<T>): Promise<T>;
}

interface Call {
  readonly metadata: Metadata;
  readonly cancelled: boolean;
  on(event: "cancelled", listener: () => void): unknown;
}

/** A session's client, and a signal that fires when the caller hangs up. */
export interface Caller {
  readonly client: string;
  readonly signal: AbortSignal;
}

function callerOf(context: CallContext, call: Call): Caller {
  const controller = new AbortController();
  if (call.cancelled) controller.abort();
  call.on("cancelled", () => controller.abort());
  const token = call.metadata.get(SESSION_KEY)[0];
  if (typeof token !== "string") throw new KindredError("not_found", "no session: enrol first", { what: "session" });
  return { client: context.authenticate(token), signal: controller.signal };
}

function statusOf(context: CallContext, error: unknown): WireError {
  if (!(error instanceof KindredError) && context.isClosing()) {
    return toStatus(new KindredError("unavailable", "the coordinator is closing", {}, error));
  }
  const known = asKindredError(error);
  if (known.code === "internal") context.log.error("call failed", { error: known.stack });
  return toStatus(known);
}

/** Counts an outgoing message for the client. */
export function counted<T extends object>(context: CallContext, client: string, message: T): T {
  return onMessageSize(message, (bytes) => context.traffic.add(client, "down", bytes));
}

/** A unary handler of an enrolled client. */
export function unary<Q extends object, R extends object>(
  context: CallContext,
  handle: (request: Q, caller: Caller) => Promise<R>,
): handleUnaryCall<Q, R> {
  return (call, callback) => {
    const answer = async () => {
      if (context.isClosing()) throw new KindredError("unavailable", "the coordinator is closing");
      const caller = callerOf(context, call);
      context.traffic.add(caller.client, "up", messageSize(call.request));
      return counted(context, caller.client, await context.answer(() => handle(call.request, caller)));
    };
    answer().then(
      (reply) => callback(null, reply),
      (error) => callback(statusOf(context, error)),
    );
  };
}

/** A unary handler for a caller without a session. @param nameOf the client for the byte count, once admitted */
export function open<Q extends object, R extends object>(
  context: CallContext,
  nameOf: (request: Q) => string,
  handle: (request: Q) => Promise<R>,
): handleUnaryCall<Q, R> {
  return (call, callback) => {
    const answer = async () => {
      if (context.isClosing()) throw new KindredError("unavailable", "the coordinator is closing");
      const reply = await context.answer(() => handle(call.request));
      const client = nameOf(call.request);
      context.traffic.add(client, "up", messageSize(call.request));
      return counted(context, client, reply);
    };
    answer().then(
      (reply) => callback(null, reply),
      (error) => callback(statusOf(context, error)),
    );
  };
}

/** A handler that reads a stream of messages, with backpressure. */
export function reading<Q extends object, R extends object>(
  context: CallContext,
  handle: (messages: AsyncIterable<Q>, caller: Caller) => Promise<R>,
): handleClientStreamingCall<Q, R> {
  return (call, callback) => {
    const answer = async () => {
      if (context.isClosing()) throw new KindredError("unavailable", "the coordinator is closing");
      const caller = callerOf(context, call);
      // Ends the loop below when the caller hangs up: the stream alone would wait forever.
      caller.signal.addEventListener("abort", () => call.destroy(), { once: true });
      const messages = async function* (): AsyncGenerator<Q> {
        for await (const message of call) {
          context.traffic.add(caller.client, "up", messageSize(message));
          yield message;
        }
      };
      return counted(context, caller.client, await context.answer(() => handle(messages(), caller)));
    };
    answer().then(
      (reply) => callback(null, reply),
      (error) => callback(statusOf(context, error)),
    );
  };
}

function drained(call: ServerWritableStream<object, object>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const end = () => {
      call.off("drain", done);
      signal.removeEventListener("abort", stop);
    };
    const done = () => {
      end();
      resolve();
    };
    const stop = () => {
      end();
      reject(new KindredError("cancelled", "the caller hung up"));
    };
    call.once("drain", done);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
  });
}

/** A handler that writes a stream of messages, with backpressure. */
export function writing<Q extends object, R extends object>(
  context: CallContext,
  handle: (request: Q, caller: Caller) => AsyncIterable<R>,
): handleServerStreamingCall<Q, R> {
  return (call) => {
    let failed = false;
    const send = async () => {
      if (context.isClosing()) throw new KindredError("unavailable", "the coordinator is closing");
      const caller = callerOf(context, call);
      context.traffic.add(caller.client, "up", messageSize(call.request));
      await context.answer(async () => {
        for await (const message of handle(call.request, caller)) {
          if (caller.signal.aborted || failed) return;
          if (!call.write(counted(context, caller.client, message))) await drained(call, caller.signal);
        }
        if (!failed) call.end();
      });
    };
    send().catch((error) => {
      failed = true;
      const { code, details, metadata } = statusOf(context, error);
      if (code !== status.CANCELLED) call.emit("error", { code, details, metadata });
    });
  };
}
