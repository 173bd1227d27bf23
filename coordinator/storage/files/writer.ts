/** A blob that is written piece by piece into a temporary file, and hashed on the way. A call that failed can be made again. */
import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { TemporaryFile } from "../../../shared/base/atomic.js";
import { KindredError } from "../../../shared/base/errors.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { writerEnded } from "../faults.js";
import type { BlobWriter } from "../types.js";

/** Bytes read back at once. */
const PIECE_BYTES = 1 << 20;

/** Writes all of the bytes at a place of the file, so that a write that stopped half-way can be made again. */
export async function writeAt(handle: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, position + done);
    done += bytesWritten;
  }
}

export class FileWriter implements BlobWriter {
  private readonly hash = createHash("sha256");
  private size = 0;
  private ended = false;
  /** Known from the first `finish` on. */
  private ref: BlobRef | undefined;

  constructor(
    private readonly file: TemporaryFile,
    private readonly place: {
      holds(ref: BlobRef): Promise<boolean>;
      /** Commits the file. */
      install(ref: BlobRef): Promise<void>;
      /** Told when the file has been installed or dropped. */
      ended(): void;
    },
  ) {}

  async append(bytes: Uint8Array): Promise<void> {
    this.mustBeOpen();
    await writeAt(this.file.handle, bytes, this.size);
    this.hash.update(bytes);
    this.size += bytes.length;
  }

  async finish(): Promise<BlobRef> {
    this.mustBeOpen();
    const again = this.ref !== undefined;
    this.ref ??= { sha256: this.hash.digest("hex"), size: this.size };
    const { ref } = this;
    if (await this.place.holds(ref)) await this.file.discard();
    else {
      if (again && !this.file.synced) await this.rewrite(ref);
      await this.place.install(ref);
    }
    this.end();
    return ref;
  }

  async abort(): Promise<void> {
    if (this.ended) return;
    this.end();
    await this.file.discard();
  }

  private end(): void {
    this.ended = true;
    this.place.ended();
  }

  /** After a sync that failed, the system may take pages for written that are not: only pages written anew are synced again. */
  private async rewrite({ sha256, size }: BlobRef): Promise<void> {
    const hash = createHash("sha256");
    const piece = Buffer.alloc(Math.min(PIECE_BYTES, size));
    for (let at = 0; at < size; ) {
      const { bytesRead } = await this.file.handle.read(piece, 0, Math.min(piece.length, size - at), at);
      if (bytesRead === 0) break;
      hash.update(piece.subarray(0, bytesRead));
      await writeAt(this.file.handle, piece.subarray(0, bytesRead), at);
      at += bytesRead;
    }
    if (hash.digest("hex") === sha256) return;
    throw new KindredError("internal", `blob ${sha256}: the disk lost bytes that it had taken`, { sha256 });
  }

  private mustBeOpen(): void {
    if (this.ended) throw writerEnded();
  }
}
