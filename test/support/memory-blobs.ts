/** Blobs in memory, for tests of what reads and writes tensors in chunks. */
import { createHash } from "node:crypto";
import type { TensorBlobs } from "../../coordinator/rounds/stored-tensors.js";
import { checkRange } from "../../coordinator/storage/faults.js";
import { KindredError } from "../../shared/base/errors.js";
import type { BlobRef } from "../../shared/wire/types.js";

export class MemoryBlobs implements TensorBlobs {
  private readonly blobs = new Map<string, Uint8Array>();
  /** Blobs that were begun and neither finished nor dropped. */
  unfinished = 0;

  put(bytes: Uint8Array): BlobRef {
    const sha256 = createHash("sha256").update(bytes).digest("hex");
    this.blobs.set(sha256, bytes);
    return { sha256, size: bytes.length };
  }

  get(ref: BlobRef): Uint8Array {
    const bytes = this.blobs.get(ref.sha256);
    if (bytes === undefined) throw new KindredError("not_found", `no blob ${ref.sha256}`);
    return bytes;
  }

  async range(ref: BlobRef, offset: number, length: number): Promise<Buffer> {
    checkRange(ref, offset, length);
    const bytes = this.get(ref);
    if (bytes.length !== ref.size) throw new KindredError("not_found", `blob ${ref.sha256} has another size`);
    return Buffer.from(bytes.subarray(offset, offset + length));
  }

  async readInto(ref: BlobRef, offset: number, target: Uint8Array): Promise<void> {
    target.set(await this.range(ref, offset, target.length));
  }

  async write() {
    const pieces: Buffer[] = [];
    let open = true;
    this.unfinished++;
    const end = (): void => {
      if (open) this.unfinished--;
      open = false;
    };
    return {
      append: async (bytes: Uint8Array) => {
        pieces.push(Buffer.from(bytes));
      },
      finish: async () => {
        end();
        return this.put(Buffer.concat(pieces));
      },
      abort: async () => end(),
    };
  }
}
