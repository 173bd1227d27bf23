/**
 * Blobs as files named by their content: DIR/blobs/ab/abcd... A file appears by rename after its bytes are on disk, so a
 * file that is there is whole. Uploads grow in DIR/partial and are spooled there, never in memory.
 */
import { createHash, randomBytes } from "node:crypto";
import { createReadStream } from "node:fs";
import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";
import type { BlobRef } from "../../shared/wire/tasks.js";
import type { BlobStore, IncomingBlob } from "./types.js";

async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** A rename is durable once its folder is. */
async function syncFolder(path: string): Promise<void> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

export class FileBlobs implements BlobStore {
  private readonly open = new Map<string, Incoming>();

  private constructor(
    private readonly whole: string,
    private readonly partial: string,
  ) {}

  static async at(folder: string): Promise<FileBlobs> {
    const blobs = new FileBlobs(join(folder, "blobs"), join(folder, "partial"));
    await mkdir(blobs.whole, { recursive: true });
    await mkdir(blobs.partial, { recursive: true });
    return blobs;
  }

  /** The blobs of a folder that another process may be writing to; nothing is made or changed. */
  static reading(folder: string): Pick<BlobStore, "get"> {
    return new FileBlobs(join(folder, "blobs"), join(folder, "partial"));
  }

  private path(ref: BlobRef): string {
    return join(this.whole, ref.sha256.slice(0, 2), ref.sha256);
  }

  private async install(temporary: string, ref: BlobRef): Promise<void> {
    const target = this.path(ref);
    const made = await mkdir(dirname(target), { recursive: true });
    await rename(temporary, target);
    await syncFolder(dirname(target));
    if (made !== undefined) await syncFolder(this.whole);
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
    if (await this.has(ref)) return ref;
    const temporary = join(this.partial, `put-${randomBytes(8).toString("hex")}`);
    const handle = await open(temporary, "wx");
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await this.install(temporary, ref);
    return ref;
  }

  async get(ref: BlobRef): Promise<Uint8Array> {
    await this.mustHave(ref);
    const bytes = await readFile(this.path(ref));
    if (createHash("sha256").update(bytes).digest("hex") !== ref.sha256) {
      throw new KindredError(
        "checksum_mismatch",
        `blob file ${this.path(ref)} is damaged: its content has another SHA-256`,
        {
          sha256: ref.sha256,
        },
      );
    }
    return bytes;
  }

  async has(ref: BlobRef): Promise<boolean> {
    return (await fileSize(this.path(ref))) === ref.size;
  }

  private async mustHave(ref: BlobRef): Promise<void> {
    if (await this.has(ref)) return;
    const message = `blob ${ref.sha256} of ${ref.size} bytes is not in ${this.whole}`;
    throw new KindredError("not_found", message, { sha256: ref.sha256, size: ref.size });
  }

  async *read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined> {
    await this.mustHave(ref);
    const handle = await open(this.path(ref), "r");
    try {
      for (let position = offset; position < ref.size; ) {
        const piece = Buffer.allocUnsafe(Math.min(pieceBytes, ref.size - position));
        const { bytesRead } = await handle.read(piece, 0, piece.length, position);
        if (bytesRead !== piece.length)
          throw new KindredError("not_found", `blob ${ref.sha256} was cut short while read`);
        position += bytesRead;
        yield piece;
      }
    } finally {
      await handle.close();
    }
  }

  private partialPath(taskId: string, ref: BlobRef): string {
    return join(this.partial, `${taskId}-${ref.sha256}-${ref.size}`);
  }

  private async takeOver(path: string): Promise<void> {
    await this.open.get(path)?.suspend();
    this.open.delete(path);
  }

  async held(taskId: string, ref: BlobRef): Promise<number> {
    const path = this.partialPath(taskId, ref);
    await this.takeOver(path);
    return (await fileSize(path)) ?? 0;
  }

  async receive(taskId: string, ref: BlobRef): Promise<IncomingBlob> {
    const path = this.partialPath(taskId, ref);
    await this.takeOver(path);
    const hash = createHash("sha256");
    const held = (await fileSize(path)) ?? 0;
    if (held > 0) for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
    const handle = await open(path, "a");
    const incoming = new Incoming(ref, handle, hash, held, {
      isStored: () => this.has(ref),
      install: () => this.install(path, ref),
      discard: () => rm(path, { force: true }),
      closed: () => {
        if (this.open.get(path) === incoming) this.open.delete(path);
      },
    });
    this.open.set(path, incoming);
    return incoming;
  }

  async dropUnfinished(taskId: string): Promise<void> {
    for (const name of await readdir(this.partial)) {
      if (!name.startsWith(`${taskId}-`)) continue;
      await this.takeOver(join(this.partial, name));
      await rm(join(this.partial, name), { force: true });
    }
  }
}

interface Ends {
  isStored(): Promise<boolean>;
  install(): Promise<void>;
  discard(): Promise<void>;
  closed(): void;
}

class Incoming implements IncomingBlob {
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
