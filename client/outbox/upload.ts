/** Sends one blob: asks how much is there, goes on from that, chunk by chunk with checksums, as fast as the other side reads. */
import { createHash } from "node:crypto";
import { crc32 } from "node:zlib";
import { KindredError } from "../../shared/base/errors.js";
import { uint53 } from "../../shared/wire/checks.js";
import { encodeBlobRef } from "../../shared/wire/fields.js";
import type { UploadHeader } from "../../shared/wire/gen/kindred/v1/UploadHeader.js";
import { MAX_CHUNK_BYTES } from "../../shared/wire/limits.js";
import type { BlobRef } from "../../shared/wire/types.js";
import type { Connection } from "./connection.js";
import { type RetryOptions, retrying } from "./retry.js";

/** No chunk taken for so long: the stream is dead, whatever the socket says. */
const STALL_MS = 60_000;

export function refOf(bytes: Uint8Array): BlobRef {
  return { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
}

/** Returns once the coordinator has the blob on disk. @throws {KindredError} `too_large`, `not_found` (task), `cancelled` */
export function uploadBlob(
  connection: Connection,
  taskId: string,
  ref: BlobRef,
  bytes: Uint8Array,
  retry: RetryOptions,
): Promise<void> {
  const header = { taskId, blob: encodeBlobRef(ref) };
  return retrying((moved) => attempt(connection, header, bytes, moved, retry.signal), retry);
}

async function attempt(
  connection: Connection,
  header: UploadHeader,
  bytes: Uint8Array,
  moved: () => void,
  signal: AbortSignal,
): Promise<void> {
  const status = await connection.uploadStatus(header, signal);
  if (status.complete) return;
  const held = uint53("held", status.held);
  if (held > bytes.length)
    throw new KindredError("invalid_message", `coordinator holds ${held} of ${bytes.length} bytes`);
  const stream = connection.upload();
  const cancel = () => stream.cancel();
  signal.addEventListener("abort", cancel, { once: true });
  const watchdog = setTimeout(cancel, STALL_MS);
  try {
    await stream.write({ header });
    for (let offset = held; offset < bytes.length; ) {
      const data = Buffer.from(
        bytes.buffer,
        bytes.byteOffset + offset,
        Math.min(MAX_CHUNK_BYTES, bytes.length - offset),
      );
      await stream.write({ chunk: { offset: String(offset), data, crc32: crc32(data) } });
      offset += data.length;
      watchdog.refresh();
      moved();
    }
    stream.end();
    await stream.reply;
  } finally {
    clearTimeout(watchdog);
    signal.removeEventListener("abort", cancel);
    cancel();
  }
}
