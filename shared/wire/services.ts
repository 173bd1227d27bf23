/**
 * Loads proto/kindred/v1 and gives the three services typed clients and definitions. Every message that passes is weighed:
 * `messageSize` tells how many bytes a decoded message took, `onMessageSize` how many an outgoing one will. It knows no addresses.
 */
import { readdirSync } from "node:fs";
import * as grpc from "@grpc/grpc-js";
import * as loader from "@grpc/proto-loader";
import { asset } from "../base/assets.js";
import type { ProtoGrpcType as BlobsTypes } from "./gen/blobs.js";
import type { ProtoGrpcType as EnrolmentTypes } from "./gen/enrolment.js";
import type { NextTaskReply } from "./gen/kindred/v1/NextTaskReply.js";
import type { Task, Task__Output } from "./gen/kindred/v1/Task.js";
import type { ProtoGrpcType as TasksTypes } from "./gen/tasks.js";
import { MAX_CHUNK_BYTES } from "./limits.js";

/** Metadata key that carries the session token. */
export const SESSION_KEY = "kindred-session";

/** gRPC puts a flag and a length before every message. */
const FRAME_BYTES = 5;
/** Header fields of a full chunk: offset, length, checksum and their tags, at most 10 + 5 + 5 and a wrapper of 6. */
const CHUNK_FIELDS_BYTES = 20;

const received = new WeakMap<object, number>();
const outgoing = new WeakMap<object, (bytes: number) => void>();

/** Bytes that a received message took on the wire: the message and its gRPC frame, without HTTP/2 and TLS. */
export function messageSize(message: object): number {
  return received.get(message) ?? 0;
}

/** Calls back with the bytes a message takes when it is sent. Returns the message. */
export function onMessageSize<T extends object>(message: T, callback: (bytes: number) => void): T {
  outgoing.set(message, callback);
  return message;
}

/** Bytes a blob of this size takes on the wire, sent once without interruption; within 0.1 % for sizes above 64 KiB. */
export function transferBytes(size: number): number {
  return size + Math.ceil(size / MAX_CHUNK_BYTES) * (FRAME_BYTES + CHUNK_FIELDS_BYTES);
}

type Types = {
  kindred: {
    v1: Pick<EnrolmentTypes["kindred"]["v1"], "Enrolment"> &
      Pick<TasksTypes["kindred"]["v1"], "Tasks"> &
      Pick<BlobsTypes["kindred"]["v1"], "Blobs">;
  };
};

function sized(service: loader.ServiceDefinition): loader.ServiceDefinition {
  const incoming = (read: (bytes: Buffer) => object) => (bytes: Buffer) => {
    const message = read(bytes);
    received.set(message, bytes.length + FRAME_BYTES);
    return message;
  };
  const sent = (write: (message: object) => Buffer) => (message: object) => {
    const bytes = write(message);
    outgoing.get(message)?.(bytes.length + FRAME_BYTES);
    return bytes;
  };
  const methods = Object.entries(service).map(([name, method]) => [
    name,
    {
      ...method,
      requestDeserialize: incoming(method.requestDeserialize),
      responseDeserialize: incoming(method.responseDeserialize),
      requestSerialize: sent(method.requestSerialize),
      responseSerialize: sent(method.responseSerialize),
    },
  ]);
  return Object.fromEntries(methods);
}

function load(): Types["kindred"]["v1"] {
  const files = readdirSync(asset("proto", "kindred", "v1"))
    .filter((name) => name.endsWith(".proto"))
    .sort()
    .map((name) => `kindred/v1/${name}`);
  // The options must be those with which shared/wire/generate.mjs makes the types.
  const definition = loader.loadSync(files, {
    includeDirs: [asset("proto")],
    longs: String,
    enums: String,
    defaults: true,
    oneofs: true,
  });
  for (const name of ["kindred.v1.Enrolment", "kindred.v1.Tasks", "kindred.v1.Blobs"]) {
    definition[name] = sized(definition[name] as loader.ServiceDefinition);
  }
  return (grpc.loadPackageDefinition(definition) as unknown as Types).kindred.v1;
}

export const services = load();

/** A task as its receiver gets it. */
export function arrivedTask(task: Task): Task__Output {
  const { responseSerialize, responseDeserialize } = services.Tasks.service.NextTask;
  return responseDeserialize(responseSerialize({ task })).task as Task__Output;
}

/** Bytes that an answer to NextTask takes on the wire. */
export function nextTaskBytes(reply: NextTaskReply): number {
  return services.Tasks.service.NextTask.responseSerialize(reply).length + FRAME_BYTES;
}
