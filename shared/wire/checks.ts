/** Small checks that turn a decoded protobuf field into a plain value or throw `invalid_message` naming the field. */
import { KindredError } from "../base/errors.js";
import type { BlobRef } from "./types.js";

export function refuse(field: string, need: string, got: unknown): never {
  const shown = String(typeof got === "string" ? JSON.stringify(got.slice(0, 80)) : got);
  throw new KindredError("invalid_message", `${field} must be ${need}, got ${shown}`, { field });
}

/** A whole number in low .. high. */
export function whole(field: string, value: number | string, low: number, high: number): number {
  const number = typeof value === "number" ? value : /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN;
  if (!Number.isSafeInteger(number) || number < low || number > high) refuse(field, `${low}..${high}`, value);
  return number;
}

/** A uint64 that arrives as a decimal string, and must be exact as a number. */
export function uint53(field: string, value: number | string): number {
  return whole(field, value, 0, Number.MAX_SAFE_INTEGER);
}

/** A finite number, at least `low` (or above it where `open`). */
export function finite(field: string, value: number, low = -Number.MAX_VALUE, open = false): number {
  if (!Number.isFinite(value) || value < low || (open && value === low)) {
    refuse(field, low === -Number.MAX_VALUE ? "finite" : `finite and ${open ? "above" : "at least"} ${low}`, value);
  }
  return value;
}

/** Losses of tokens are float32. Sums of more than that would overflow a run's own sums, which no client may do to the others. */
const MAX_TOKEN_LOSS = 3.5e38;

/** A negative log-likelihood summed over tokens, nats. */
export function lossSum(field: string, nllSum: number, tokens: number): number {
  const most = MAX_TOKEN_LOSS * tokens;
  return Math.abs(nllSum) <= most ? nllSum : refuse(field, `within ${MAX_TOKEN_LOSS} nats per token`, nllSum);
}

export function share(field: string, value: number): number {
  return value >= 0 && value <= 1 ? value : refuse(field, "0..1", value);
}

export function text(field: string, value: string, min: number, max: number): string {
  if (value.length < min || value.length > max || /\p{Cc}/u.test(value)) {
    refuse(field, `${min}..${max} characters without control characters`, value);
  }
  return value;
}

export function hash(field: string, value: string): string {
  if (!/^[0-9a-f]{64}$/.test(value)) refuse(field, "64 lower-case hexadecimal digits", value);
  return value;
}

export function list<T, R>(
  field: string,
  values: readonly T[],
  min: number,
  max: number,
  read: (name: string, value: T) => R,
): R[] {
  if (values.length < min || values.length > max) refuse(`length of ${field}`, `${min}..${max}`, values.length);
  return values.map((value, i) => read(`${field}[${i}]`, value));
}

export function present<T>(field: string, value: T | null | undefined): T {
  return value ?? refuse(field, "set", "nothing");
}

/** A blob's name. Its size is a claim: bound it (`boundBlob`) before allocating for it. */
export function blobRef(field: string, value: { sha256: string; size: number | string } | null | undefined): BlobRef {
  const { sha256, size } = present(field, value);
  return { sha256: hash(`${field}.sha256`, sha256), size: uint53(`${field}.size`, size) };
}

/** @throws {KindredError} `too_large` */
export function boundBlob(ref: BlobRef, maxBytes: number): BlobRef {
  if (ref.size <= maxBytes) return ref;
  const message = `blob ${ref.sha256} has ${ref.size} bytes, more than the limit of ${maxBytes} (maxBlobBytes)`;
  throw new KindredError("too_large", message, { sha256: ref.sha256, bytes: ref.size, limit: maxBytes });
}
