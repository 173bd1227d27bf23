/** An upload that is arriving in a file of its own, which a later upload of the same blob goes on with. */
import type { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import type { BlobRef } from "../../../shared/wire/types.js";
import { damagedUpload, incomplete, overlong, takenOver } from "../faults.js";
import type { IncomingBlob } from "../types.js";
import { writeAt } from "./writer.js";

export interface Ends {
  isStored(): Promise<boolean>;
  install(): Promise<void>;
  discard(): Promise<void>;
  closed(): void;
}

export class Incoming implements IncomingBlob {
  /** Set once the upload has ended. It settles when nothing of it touches its file any longer. */
  private ending: Promise<void> | undefined;
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
    if (this.ending !== undefined) throw takenOver(this.ref);
    if (this.size + bytes.length > this.ref.size) throw overlong(this.ref);
    await writeAt(this.handle, bytes, this.size);
    this.hash.update(bytes);
    this.size += bytes.length;
  }

  async finish(): Promise<void> {
    if (this.ending !== undefined) throw takenOver(this.ref);
    this.ending = this.end(this.size < this.ref.size ? () => this.keep() : () => this.install());
    await this.ending;
  }

  /** Waits for a `finish` under way: whoever opens the file next must not open it while it is moved. */
  async suspend(): Promise<void> {
    this.ending ??= this.end(async () => {});
    // How `finish` ended was reported to its own caller.
    await this.ending.catch(() => undefined);
  }

  private async end(work: () => Promise<void>): Promise<void> {
    try {
      // A write that failed was reported to its own caller.
      await this.writing.catch(() => undefined);
      await work();
    } finally {
      await this.handle.close();
      this.ends.closed();
    }
  }

  private async keep(): Promise<void> {
    throw incomplete(this.ref, this.size);
  }

  private async install(): Promise<void> {
    const right = this.hash.digest("hex") === this.ref.sha256;
    const known = right && (await this.ends.isStored());
    try {
      if (right && !known) await this.handle.sync();
    } catch (error) {
      // The system may take its pages for written that are not: it is sent again.
      await this.handle.close();
      await this.ends.discard();
      throw error;
    }
    // Windows moves and removes no open file.
    await this.handle.close();
    if (right && !known) return this.ends.install();
    await this.ends.discard();
    if (!right) throw damagedUpload(this.ref);
  }
}
