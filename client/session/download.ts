/** Fetches one blob that a task names: bounded before it is allocated, checked chunk by chunk and as a whole, resumed after a cut. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { KindredError } from "../../shared/base/errors.js";
import { boundBlob, refuse, uint53 } from "../../shared/wire/checks.js";
import { encodeBlobRef } from "../../shared/wire/fields.js";
import type { Chunk__Output } from "../../shared/wire/gen/kindred/v1/Chunk.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { Connection } from "../outbox/connection.js";
import { type RetryOptions, retrying } from "../outbox/retry.js";

/** No chunk for so long: the stream is dead, whatever the socket says. */
const STALL_MS = 60_000;

/** @throws {KindredError} `too_large`, `not_found`, `checksum_mismatch` (several times in a row), `cancelled` */
export async function downloadBlob(
  connection: Connection,
  taskId: string,
  ref: BlobRef,
  maxBlobBytes: number,
  retry: RetryOptions,
): Promise<Uint8Array> {
  boundBlob(ref, maxBlobBytes);
  const bytes = new Uint8Array(ref.size);
  let received = 0;
  await retrying(async (moved) => {
    const request = { taskId, blob: encodeBlobRef(ref), offset: String(received) };
    const stream = connection.download(request);
    const cancel = () => stream.cancel();
    retry.signal.addEventListener("abort", cancel, { once: true });
    const watchdog = setTimeout(cancel, STALL_MS);
    try {
      for await (const chunk of stream as AsyncIterable<Chunk__Output>) {
        const data = checkChunk(chunk, received, ref);
        bytes.set(data, received);
        received += data.length;
        watchdog.refresh();
        moved();
      }
    } catch (error) {
      throw connection.error(error);
    } finally {
      clearTimeout(watchdog);
      retry.signal.removeEventListener("abort", cancel);
      cancel();
    }
    if (received < ref.size)
      throw new KindredError("unavailable", `download of ${ref.sha256} ended at ${received} bytes`);
    if (createHash("sha256").update(bytes).digest("hex") === ref.sha256) return;
    received = 0;
    throw new KindredError("checksum_mismatch", `blob ${ref.sha256} arrived with another SHA-256`, {
      sha256: ref.sha256,
    });
  }, retry);
  return bytes;
}

function checkChunk(chunk: Chunk__Output, expected: number, ref: BlobRef): Buffer {
  const offset = uint53("chunk.offset", chunk.offset);
  if (offset !== expected) refuse("chunk.offset", `${expected}, where the blob goes on`, offset);
  const { data } = chunk;
  // Chunks without bytes would go on for ever.
  if (data.length < 1) refuse("length of chunk.data", "at least 1", data.length);
  if (offset + data.length > ref.size)
    refuse("end of chunk.data", `at most the blob's size, ${ref.size}`, offset + data.length);
  if (crc32(data) !== chunk.crc32) {
    const message = `blob ${ref.sha256}: the chunk at ${offset} has another CRC-32 than its sender computed`;
    throw new KindredError("checksum_mismatch", message, { sha256: ref.sha256, offset });
  }
  return data;
}
