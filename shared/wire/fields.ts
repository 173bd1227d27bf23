/**
 * Declares the fields of a message once, for both directions: how a decoded protobuf value becomes a checked plain value, and
 * how a plain value becomes what protobufjs encodes. A value that was read needs no further check of its numbers. It knows no
 * message and no transport.
 */
import * as checks from "./checks.js";
import type { BlobRef } from "./types.js";

/** A field's type on both sides. Methods, so that fields of narrower types fit where wider ones are expected. */
export interface Field<T> {
  /**
   * @param name path of the field in messages, as the .proto file spells it: "train_adapter.training.steps"
   * @throws {KindredError} `invalid_message` naming the field
   */
  read(name: string, value: unknown): T;
  /** What protobufjs' `fromObject` takes. */
  write(value: T): unknown;
}

export type Fields<T> = { readonly [K in keyof T]-?: Field<T[K]> };

/** A camel-case name as .proto files spell it. */
export const snakeCase = (name: string): string => name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** A message: an object with these fields, and no others. Fields that are read as `undefined` are left out. */
export function struct<T extends object>(fields: Fields<T>): Field<T> {
  const entries = Object.entries(fields) as [keyof T & string, Field<unknown>][];
  return {
    read: (name, value) => {
      const message = checks.present(name, value) as Record<string, unknown>;
      const read = entries.map(([key, field]) => [key, field.read(`${name}.${snakeCase(key)}`, message[key])] as const);
      return Object.fromEntries(read.filter(([, item]) => item !== undefined)) as T;
    },
    write: (value) =>
      Object.fromEntries(
        entries.filter(([key]) => value[key] !== undefined).map(([key, field]) => [key, field.write(value[key])]),
      ),
  };
}

/** A field with a check of its whole value, for bounds that depend on another field. @param check throws by `refuse` */
export function refined<T>(field: Field<T>, check: (name: string, value: T) => void): Field<T> {
  return {
    read: (name, value) => {
      const read = field.read(name, value);
      check(name, read);
      return read;
    },
    write: (value) => field.write(value),
  };
}

/** A field that a message may lack. */
export function optional<T>(field: Field<T>): Field<T | undefined> {
  return {
    read: (name, value) => (value === undefined || value === null ? undefined : field.read(name, value)),
    write: (value) => (value === undefined ? undefined : field.write(value)),
  };
}

/** A repeated field of `min` to `max` entries. */
export function listOf<T>(field: Field<T>, min: number, max: number): Field<readonly T[]> {
  return {
    read: (name, value) => checks.list(name, value as readonly unknown[], min, max, (at, item) => field.read(at, item)),
    write: (values) => values.map((value) => field.write(value)),
  };
}

const UINT32 = 4_294_967_295;

const wholeNumber = (value: unknown): number | string =>
  typeof value === "number" || typeof value === "string" ? value : Number.NaN;

/** A uint32. */
export function uint32(low = 0, high = UINT32): Field<number> {
  return { read: (name, value) => checks.whole(name, wholeNumber(value), low, high), write: (value) => value };
}

/** A uint64 below 2^53: it arrives as a decimal string, and goes as one, so that no digit is lost. */
export function uint64(low = 0): Field<number> {
  return {
    read: (name, value) => checks.whole(name, wholeNumber(value), low, Number.MAX_SAFE_INTEGER),
    write: (value) => String(value),
  };
}

/** A finite number, at least `low`, or above it where `open`. */
export function real(low?: number, open = false): Field<number> {
  return {
    read: (name, value) => checks.finite(name, typeof value === "number" ? value : Number.NaN, low, open),
    write: (value) => value,
  };
}

/** A number from 0 to 1. */
export const share: Field<number> = {
  read: (name, value) => checks.share(name, typeof value === "number" ? value : Number.NaN),
  write: (value) => value,
};

export const flag: Field<boolean> = {
  read: (name, value) => (typeof value === "boolean" ? value : checks.refuse(name, "true or false", value)),
  write: (value) => value,
};

/** Text without control characters. @param pattern what it must match besides. @param words the pattern in words */
export function text(min: number, max: number, pattern?: RegExp, words = ""): Field<string> {
  return {
    read: (name, value) => {
      const read = checks.text(name, typeof value === "string" ? value : "", min, max);
      return pattern === undefined || pattern.test(read) ? read : checks.refuse(name, words, read);
    },
    write: (value) => value,
  };
}

/** An enumeration. @param names plain value -> name in the .proto file */
export function choice<T extends string>(names: Readonly<Record<T, string>>): Field<T> {
  const entries = Object.entries(names) as [T, string][];
  return {
    read: (name, value) =>
      entries.find(([, wire]) => wire === value)?.[0] ?? checks.refuse(name, Object.values(names).join(", "), value),
    write: (value) => names[value],
  };
}

/** A blob's name. Its size is a claim: bound it (`boundBlob`) before allocating for it. */
export const blob: Field<BlobRef> = {
  read: (name, value) => checks.blobRef(name, value as Parameters<typeof checks.blobRef>[1]),
  write: encodeBlobRef,
};

export function encodeBlobRef(ref: BlobRef): { sha256: string; size: string } {
  return { sha256: ref.sha256, size: String(ref.size) };
}
