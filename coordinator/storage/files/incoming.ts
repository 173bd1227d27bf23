/** An upload that is arriving in a file of its own, which a later upload of the same blob goes on with. */
import type { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { BlobRef } from "../../../shared/wire/types.js";
import { damagedUpload, incomplete, overlong, takenOver } from "../faults.js";
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
    if (this.ended) throw takenOver(this.ref);
    if (this.size + bytes.length > this.ref.size) throw overlong(this.ref);
    await this.handle.appendFile(bytes);
    this.hash.update(bytes);
    this.size += bytes.length;
  }

  async finish(): Promise<void> {
    if (this.ended) throw takenOver(this.ref);
    if (this.size < this.ref.size) {
      await this.suspend();
      throw incomplete(this.ref, this.size);
    }
    const right = this.hash.digest("hex") === this.ref.sha256;
    const known = right && (await this.ends.isStored());
    if (right && !known) await this.handle.sync();
    await this.end();
    if (right && !known) return this.ends.install();
    await this.ends.discard();
    if (!known) throw damagedUpload(this.ref);
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
