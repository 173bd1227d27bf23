/**
 * Messages between bytes and objects by a .proto file, for message types that the gRPC services do not name. A file may import
 * those of proto/. It knows no field's meaning.
 */
import { isAbsolute } from "node:path";
import protobuf from "protobufjs";
import { asset } from "../base/assets.js";
import { KindredError } from "../base/errors.js";

/** As shared/wire/services.ts loads its messages: 64-bit numbers as decimal strings, enumerations as names. */
const OBJECT = { longs: String, enums: String, defaults: true, oneofs: true } as const;

export interface BodyType {
  encode(value: unknown): Buffer;
  /** @throws {KindredError} `invalid_message` where the bytes are no such message. Values are not checked. */
  decode(name: string, bytes: Uint8Array): object;
}

const roots = new Map<string, protobuf.Root>();

/** @param file path of the .proto file. @param type the message's full name: "kindred.v1.Evaluate" */
export function bodyType(file: string, type: string): BodyType {
  let root = roots.get(file);
  if (root === undefined) {
    root = new protobuf.Root();
    root.resolvePath = (_, target) => (isAbsolute(target) ? target : asset("proto", target));
    root.loadSync(file);
    roots.set(file, root);
  }
  const message = root.lookupType(type);
  return {
    encode: (value) => Buffer.from(message.encode(message.fromObject(value as Record<string, unknown>)).finish()),
    decode: (name, bytes) => {
      try {
        return message.toObject(message.decode(bytes), OBJECT);
      } catch (error) {
        const text = `${name} must be a message of type ${type}, got ${bytes.length} other bytes (${(error as Error).message})`;
        throw new KindredError("invalid_message", text, { field: name }, error);
      }
    },
  };
}
