/** A blob that is written piece by piece into a temporary file, and hashed on the way. */
import { createHash } from "node:crypto";
import type { TemporaryFile } from "../../../shared/base/atomic.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { writerEnded } from "../faults.js";
import type { BlobWriter } from "../types.js";

export class FileWriter implements BlobWriter {
  private readonly hash = createHash("sha256");
  private size = 0;
  private ended = false;

  constructor(
    private readonly file: TemporaryFile,
    private readonly place: { has(ref: BlobRef): Promise<boolean>; path(ref: BlobRef): string },
  ) {}

  async append(bytes: Uint8Array): Promise<void> {
    this.mustBeOpen();
    await this.file.handle.appendFile(bytes);
    this.hash.update(bytes);
    this.size += bytes.length;
  }

  async finish(): Promise<BlobRef> {
    this.mustBeOpen();
    this.ended = true;
    const ref = { sha256: this.hash.digest("hex"), size: this.size };
    if (await this.place.has(ref)) await this.file.discard();
    else await this.file.commit(this.place.path(ref));
    return ref;
  }

  async abort(): Promise<void> {
    if (this.ended) return;
    this.ended = true;
    await this.file.discard();
  }

  private mustBeOpen(): void {
    if (this.ended) throw writerEnded();
  }
}
