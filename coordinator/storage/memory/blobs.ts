/** Blobs in memory, as copies of the bytes given. */
import { createHash } from "node:crypto";
import type { BlobRef } from "../../../shared/wire/types.js";
import { checkRange, damagedUpload, incomplete, missingBlob, overlong, takenOver, writerEnded } from "../faults.js";
import type { Blobs, BlobWriter, IncomingBlob } from "../types.js";

const refOf = (bytes: Uint8Array): BlobRef => ({
  sha256: createHash("sha256").update(bytes).digest("hex"),
  size: bytes.length,
});

/** The bytes of an upload that has not ended. */
interface Arriving {
  readonly pieces: Buffer[];
  size: number;
}

export class MemoryBlobs implements Blobs {
  private readonly whole = new Map<string, Buffer>();
  private readonly partial = new Map<string, Arriving>();
  private readonly open = new Map<string, MemoryIncoming>();

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = refOf(bytes);
    if (!this.whole.has(ref.sha256)) this.whole.set(ref.sha256, Buffer.from(bytes));
    return ref;
  }

  async write(): Promise<BlobWriter> {
    const pieces: Buffer[] = [];
    let ended = false;
    const mustBeOpen = () => {
      if (ended) throw writerEnded();
    };
    return {
      append: async (bytes) => {
        mustBeOpen();
        pieces.push(Buffer.from(bytes));
      },
      finish: async () => {
        mustBeOpen();
        ended = true;
        return this.put(Buffer.concat(pieces));
      },
      abort: async () => {
        ended = true;
      },
    };
  }

  async get(ref: BlobRef): Promise<Uint8Array> {
    return Uint8Array.from(this.mustHave(ref));
  }

  async has(ref: BlobRef): Promise<boolean> {
    return this.whole.get(ref.sha256)?.length === ref.size;
  }

  async remove(ref: BlobRef): Promise<void> {
    this.whole.delete(ref.sha256);
  }

  async range(ref: BlobRef, offset: number, length: number): Promise<Buffer> {
    checkRange(ref, offset, length);
    const bytes = Buffer.allocUnsafeSlow(length);
    this.mustHave(ref).copy(bytes, 0, offset, offset + length);
    return bytes;
  }

  async readInto(ref: BlobRef, offset: number, target: Uint8Array): Promise<void> {
    checkRange(ref, offset, target.length);
    this.mustHave(ref).copy(target, 0, offset, offset + target.length);
  }

  async *read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined> {
    const bytes = this.mustHave(ref);
    for (let at = offset; at < bytes.length; at += pieceBytes) yield Buffer.from(bytes.subarray(at, at + pieceBytes));
  }

  async held(taskId: string, ref: BlobRef): Promise<number> {
    const name = partialName(taskId, ref);
    this.takeOver(name);
    return this.partial.get(name)?.size ?? 0;
  }

  async receive(taskId: string, ref: BlobRef): Promise<IncomingBlob> {
    const name = partialName(taskId, ref);
    this.takeOver(name);
    const partial = this.partial.get(name) ?? { pieces: [], size: 0 };
    this.partial.set(name, partial);
    const incoming = new MemoryIncoming(ref, partial, async (bytes) => {
      this.partial.delete(name);
      if (bytes !== undefined) await this.put(bytes);
    });
    this.open.set(name, incoming);
    return incoming;
  }

  async dropUnfinished(taskId: string): Promise<void> {
    for (const name of this.partial.keys()) {
      if (!name.startsWith(`${taskId}-`)) continue;
      this.takeOver(name);
      this.partial.delete(name);
    }
  }

  /** Ends uploads as the end of a process does; the next one goes on with them. */
  async suspendAll(): Promise<void> {
    for (const name of this.open.keys()) this.takeOver(name);
  }

  /** At once: two uploads of one blob that begin side by side must not both be open. */
  private takeOver(name: string): void {
    this.open.get(name)?.stop();
    this.open.delete(name);
  }

  private mustHave(ref: BlobRef): Buffer {
    const bytes = this.whole.get(ref.sha256);
    if (bytes?.length === ref.size) return bytes;
    throw missingBlob(ref, "memory");
  }
}

const partialName = (taskId: string, ref: BlobRef): string => `${taskId}-${ref.sha256}-${ref.size}`;

class MemoryIncoming implements IncomingBlob {
  private ended = false;

  constructor(
    private readonly ref: BlobRef,
    private readonly partial: Arriving,
    /** Takes the whole blob, or undefined where its content is wrong. */
    private readonly end: (bytes: Buffer | undefined) => Promise<void>,
  ) {}

  get held(): number {
    return this.partial.size;
  }

  async append(bytes: Uint8Array): Promise<void> {
    this.mustBeOpen();
    if (this.partial.size + bytes.length > this.ref.size) throw overlong(this.ref);
    this.partial.pieces.push(Buffer.from(bytes));
    this.partial.size += bytes.length;
  }

  async finish(): Promise<void> {
    this.mustBeOpen();
    this.ended = true;
    if (this.partial.size < this.ref.size) throw incomplete(this.ref, this.partial.size);
    const bytes = Buffer.concat(this.partial.pieces);
    const right = refOf(bytes).sha256 === this.ref.sha256;
    await this.end(right ? bytes : undefined);
    if (!right) throw damagedUpload(this.ref);
  }

  async suspend(): Promise<void> {
    this.stop();
  }

  stop(): void {
    this.ended = true;
  }

  private mustBeOpen(): void {
    if (this.ended) throw takenOver(this.ref);
  }
}
