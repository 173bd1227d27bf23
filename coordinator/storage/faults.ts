/** What can be wrong with the use of a blob, in the same words for every implementation. */
import { KindredError } from "../../shared/base/errors.js";
import type { BlobRef } from "../../shared/wire/types.js";
import { damagedBlob } from "./trouble.js";

/** @throws {KindredError} `invalid_option` where the bytes are not all within the blob */
export function checkRange({ sha256, size }: BlobRef, offset: number, length: number): void {
  const within =
    [offset, length].every((value) => Number.isSafeInteger(value) && value >= 0) && offset + length <= size;
  if (within) return;
  const message = `range of blob ${sha256}: expected bytes within 0..${size}, got ${length} bytes from ${offset}`;
  throw new KindredError("invalid_option", message, { sha256, size, offset, length });
}

/** Only blobs that are stored are asked for: one that is missing is damage of the state. */
export function missingBlob(ref: BlobRef, place: string): KindredError {
  return damagedBlob(ref, place, "is missing");
}

export function writerEnded(): KindredError {
  return new KindredError("internal", "a blob was written to after it was finished or dropped");
}

export function takenOver({ sha256 }: BlobRef): KindredError {
  return new KindredError("cancelled", `upload of ${sha256} was taken over by a later one`, { sha256 });
}

export function overlong({ sha256, size }: BlobRef): KindredError {
  const message = `upload of ${sha256} is longer than the announced ${size} bytes`;
  return new KindredError("too_large", message, { sha256, size });
}

export function announcedOtherwise({ sha256, size }: BlobRef, before: number): KindredError {
  const message = `blob.size: must be that of blob ${sha256} as the task announced it before, ${before}, got ${size}`;
  return new KindredError("invalid_message", message, { sha256, size, before });
}

export function incomplete({ sha256, size }: BlobRef, held: number): KindredError {
  const message = `upload of ${sha256} ended at ${held} of ${size} bytes: go on from there`;
  return new KindredError("unavailable", message, { sha256, held });
}

export function damagedUpload({ sha256, size }: BlobRef): KindredError {
  const message = `blob ${sha256}: the ${size} bytes that arrived have another SHA-256; nothing was kept, send it again`;
  return new KindredError("checksum_mismatch", message, { sha256, size });
}

export function closedState(place: string): KindredError {
  return new KindredError("cancelled", `${place}: the state has been closed`);
}
