/** An upload that is arriving in a file of its own, which a later upload of the same blob goes on with. */
import type { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { KindredError } from "../../../shared/base/errors.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import type { IncomingBlob } from "../types.js";

export interface Ends {
  isStored(): Promise<boolean>;
  install(): Promise<void>;
  discard(): Promise<void>;
  closed(): void;
}

export class Incoming implements IncomingBlob {
  private ended = false;
  private writing: Promise<void> = Promise.resolve();

  constructor(
    private readonly ref: BlobRef,
    private readonly handle: FileHandle,
    private readonly hash: ReturnType<typeof createHash>,
    private size: number,
    private readonly ends: Ends,
  ) {}

  get held(): number {
    return this.size;
  }

  append(bytes: Uint8Array): Promise<void> {
    this.writing = this.write(bytes);
    return this.writing;
  }

  private async write(bytes: Uint8Array): Promise<void> {
    if (this.ended) throw new KindredError("cancelled", `upload of ${this.ref.sha256} was taken over by a later one`);
    if (this.size + bytes.length > this.ref.size) {
      const message = `upload of ${this.ref.sha256} is longer than the announced ${this.ref.size} bytes`;
      throw new KindredError("too_large", message, { sha256: this.ref.sha256, size: this.ref.size });
    }
    await this.handle.appendFile(bytes);
    this.hash.update(bytes);
    this.size += bytes.length;
  }

  async finish(): Promise<void> {
    if (this.ended) throw new KindredError("cancelled", `upload of ${this.ref.sha256} was taken over by a later one`);
    if (this.size < this.ref.size) {
      await this.suspend();
      const message = `upload of ${this.ref.sha256} ended at ${this.size} of ${this.ref.size} bytes: go on from there`;
      throw new KindredError("unavailable", message, { sha256: this.ref.sha256, held: this.size });
    }
    const right = this.hash.digest("hex") === this.ref.sha256;
    const known = right && (await this.ends.isStored());
    if (right && !known) await this.handle.sync();
    await this.end();
    if (right && !known) return this.ends.install();
    await this.ends.discard();
    if (known) return;
    const message = `blob ${this.ref.sha256}: the ${this.size} bytes that arrived have another SHA-256; nothing was kept, send it again`;
    throw new KindredError("checksum_mismatch", message, { sha256: this.ref.sha256, size: this.ref.size });
  }

  async suspend(): Promise<void> {
    if (!this.ended) await this.end();
  }

  private async end(): Promise<void> {
    this.ended = true;
    // A write that failed was reported to its own caller.
    await this.writing.catch(() => undefined);
    await this.handle.close();
    this.ends.closed();
  }
}
