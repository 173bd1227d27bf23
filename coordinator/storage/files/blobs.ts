/**
 * Blobs as files named by their content: FOLDER/blobs/ab/abcd... A file appears by rename after its bytes are on disk, so
 * that each file there is whole. Uploads and blobs under way grow in FOLDER/partial, never in memory. A file that this process has not
 * written is hashed before its first use; a damaged one is moved to FOLDER/damaged.
 */
import { createHash } from "node:crypto";
import { type BigIntStats, constants, createReadStream } from "node:fs";
import { type FileHandle, open, readdir, rename, rm, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { createTemporary, isTemporaryName, renameDurably, writeAtomically } from "../../../shared/base/atomic.js";
import { makePrivateFolder, narrow, PRIVATE_FILE } from "../../../shared/base/private.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { checkRange, closedState, missingBlob } from "../faults.js";
import { damagedBlob } from "../trouble.js";
import type { BlobReader, Blobs, BlobWriter, IncomingBlob } from "../types.js";
import { FileHandles } from "./handles.js";
import { Incoming } from "./incoming.js";
import { FileWriter } from "./writer.js";

/** Adapters of a round's clients that are read side by side; far below the 256 files that macOS lets a process open. */
const MAX_OPEN_FILES = 64;

/** Node reads fewer than 2^31 bytes at once. */
const MAX_READ_BYTES = 1 << 30;

/** What changes in a file whose content is changed by another program. */
const signature = ({ ino, size, mtimeNs }: BigIntStats): string => `${ino} ${size} ${mtimeNs}`;

async function hashOf(handle: FileHandle): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of handle.createReadStream({ start: 0, autoClose: false })) hash.update(piece as Buffer);
  return hash.digest("hex");
}

async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** What is wrong with a file's content. */
class Damage extends Error {}

interface OpenBlob {
  readonly ref: BlobRef;
  readonly handle: FileHandle;
  readonly size: number;
  readonly offset: number;
}

export class FileBlobs implements Blobs {
  private readonly open = new Map<string, Incoming>();
  private readonly writers = new Set<FileWriter>();
  /** By file: what was asked of it last. */
  private readonly queues = new Map<string, Promise<unknown>>();
  private readonly handles = new FileHandles(MAX_OPEN_FILES, (path, handle) => this.mustBeSound(path, handle));
  /** By path: the signature that the file had when this process wrote or hashed it. */
  private readonly sound = new Map<string, string>();
  private closed = false;
  private readonly whole: string;
  private readonly partial: string;

  private constructor(
    private readonly folder: string,
    /** Whether damaged files may be moved. */
    private readonly writes: boolean,
  ) {
    this.whole = join(folder, "blobs");
    this.partial = join(folder, "partial");
  }

  /** The blobs of a folder that no other process writes to. Removes what a killed process left of its writes. */
  static async at(folder: string): Promise<FileBlobs> {
    const blobs = new FileBlobs(folder, true);
    for (const part of [blobs.whole, blobs.partial]) {
      makePrivateFolder(part);
      narrow(part);
    }
    for (const name of await readdir(blobs.partial)) {
      if (isTemporaryName(name)) await rm(join(blobs.partial, name), { force: true });
    }
    return blobs;
  }

  /** The blobs of a folder that another process may be writing to; nothing is made or changed. */
  static reading(folder: string): BlobReader & { close(): Promise<void> } {
    return new FileBlobs(folder, false);
  }

  /**
   * Ends reading, and uploads as the end of the process does: the next one goes on with them. Drops what is being written. Nothing of
   * the folder changes afterwards.
   */
  async close(): Promise<void> {
    this.closed = true;
    // An upload that is being opened is open when its turn has ended.
    await Promise.all(this.queues.values());
    for (const path of [...this.open.keys()]) await this.inTurn(path, () => this.takeOver(path));
    for (const writer of [...this.writers]) await writer.abort();
    await this.handles.close();
    await Promise.all(this.queues.values());
  }

  private path(ref: BlobRef): string {
    return join(this.whole, ref.sha256.slice(0, 2), ref.sha256);
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
    if (await this.holds(ref)) return ref;
    await this.install(ref, () => writeAtomically(this.path(ref), bytes, { temporaryFolder: this.partial }));
    return ref;
  }

  async write(): Promise<BlobWriter> {
    const file = await createTemporary(this.partial, "write");
    if (this.closed) {
      await file.discard();
      throw closedState(this.folder);
    }
    const writer = new FileWriter(file, {
      holds: (ref) => this.holds(ref),
      install: (ref) => this.install(ref, () => file.commit(this.path(ref))),
      ended: () => this.writers.delete(writer),
    });
    this.writers.add(writer);
    return writer;
  }

  async get(ref: BlobRef): Promise<Uint8Array> {
    const { buffer } = await this.range(ref, 0, ref.size);
    return new Uint8Array(buffer);
  }

  async has(ref: BlobRef): Promise<boolean> {
    return (await fileSize(this.path(ref))) === ref.size;
  }

  remove(ref: BlobRef): Promise<void> {
    const path = this.path(ref);
    return this.inTurn(path, async () => {
      await this.handles.forget(path);
      this.sound.delete(path);
      await rm(path, { force: true });
    });
  }

  /** Whether the blob is there and sound, so that its bytes need not be written. A damaged one is then written over. */
  private async holds(ref: BlobRef): Promise<boolean> {
    if (!(await this.has(ref))) return false;
    const path = this.path(ref);
    await this.reopenIfChanged(path);
    try {
      return await this.handles.use(path, async (_, size) => size === ref.size);
    } catch (error) {
      if (error instanceof Damage || (error as NodeJS.ErrnoException).code === "ENOENT") return false;
      throw error;
    }
  }

  async range(ref: BlobRef, offset: number, length: number): Promise<Buffer> {
    checkRange(ref, offset, length);
    await this.reopenIfChanged(this.path(ref));
    // In a buffer of its own: the caller may view it as numbers or hand it to another thread.
    const bytes = Buffer.allocUnsafeSlow(length);
    await this.readInto(ref, offset, bytes);
    return bytes;
  }

  async readInto(ref: BlobRef, offset: number, target: Uint8Array): Promise<void> {
    checkRange(ref, offset, target.length);
    const path = this.path(ref);
    try {
      await this.handles.use(path, (handle, size) => this.fill(target, { ref, handle, size, offset }));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") throw missingBlob(ref, this.whole);
      if (!(error instanceof Damage)) throw error;
      if (await this.movedAside(path, ref)) throw damagedBlob(ref, this.whole, error.message);
      // It was made again meanwhile.
      await this.readInto(ref, offset, target);
    }
  }

  private async fill(target: Uint8Array, { ref, handle, size, offset }: OpenBlob): Promise<void> {
    // Its content is that of its name: the caller means another blob.
    if (size !== ref.size) throw missingBlob(ref, this.whole);
    for (let done = 0; done < target.length; ) {
      const some = Math.min(target.length - done, MAX_READ_BYTES);
      const { bytesRead } = await handle.read(target, done, some, offset + done);
      if (bytesRead === 0) throw new Damage("was cut short");
      done += bytesRead;
    }
  }

  async *read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined> {
    for (let position = offset; position < ref.size; position += pieceBytes) {
      yield await this.range(ref, position, Math.min(pieceBytes, ref.size - position));
    }
  }

  /** Lets a file that another program has changed since it was opened be opened, and hashed, again. */
  private async reopenIfChanged(path: string): Promise<void> {
    const found = await stat(path, { bigint: true }).catch(() => undefined);
    if (found === undefined || signature(found) !== this.sound.get(path)) await this.handles.forget(path);
  }

  /** Puts a file in place, whose bytes this process has written. */
  private install(ref: BlobRef, rename: () => Promise<void>): Promise<void> {
    const path = this.path(ref);
    return this.inTurn(path, async () => {
      await rename();
      await this.handles.forget(path);
      this.sound.set(path, signature(await stat(path, { bigint: true })));
    });
  }

  /** Hashes an opened file, unless this process knows its content. @throws {Damage} */
  private async mustBeSound(path: string, handle: FileHandle): Promise<void> {
    const found = signature(await handle.stat({ bigint: true }));
    if (this.sound.get(path) === found) return;
    if ((await hashOf(handle)) !== basename(path)) throw new Damage("has another SHA-256");
    this.sound.set(path, found);
  }

  /** Moves a damaged file out of the way, for somebody to look at. @returns false where the file is sound by now */
  private movedAside(path: string, ref: BlobRef): Promise<boolean> {
    return this.inTurn(path, async () => {
      await this.handles.forget(path);
      if (await this.holds(ref)) return false;
      this.sound.delete(path);
      if (!this.writes) return true;
      const aside = join(this.folder, "damaged");
      makePrivateFolder(aside);
      await rename(path, join(aside, ref.sha256)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== "ENOENT") throw error; // moved by another reader
      });
      return true;
    });
  }

  private partialPath(taskId: string, ref: BlobRef): string {
    return join(this.partial, `${taskId}-${ref.sha256}-${ref.size}`);
  }

  /** One after the other for each file: two uploads that opened one file side by side would both write into it. */
  private inTurn<T>(path: string, work: () => Promise<T>): Promise<T> {
    const turn = (this.queues.get(path) ?? Promise.resolve()).then(work);
    // A failure is its own caller's.
    const ended = turn.then(
      () => undefined,
      () => undefined,
    );
    this.queues.set(path, ended);
    ended.then(() => {
      if (this.queues.get(path) === ended) this.queues.delete(path);
    });
    return turn;
  }

  private async takeOver(path: string): Promise<void> {
    await this.open.get(path)?.suspend();
    this.open.delete(path);
  }

  async held(taskId: string, ref: BlobRef): Promise<number> {
    const path = this.partialPath(taskId, ref);
    return this.inTurn(path, async () => {
      await this.takeOver(path);
      return (await fileSize(path)) ?? 0;
    });
  }

  async receive(taskId: string, ref: BlobRef): Promise<IncomingBlob> {
    const path = this.partialPath(taskId, ref);
    return this.inTurn(path, () => this.arriving(ref, path));
  }

  private async arriving(ref: BlobRef, path: string): Promise<IncomingBlob> {
    await this.takeOver(path);
    const hash = createHash("sha256");
    const held = (await fileSize(path)) ?? 0;
    if (held > 0) for await (const piece of createReadStream(path)) hash.update(piece as Buffer);
    if (this.closed) throw closedState(this.folder);
    const handle = await open(path, constants.O_RDWR | constants.O_CREAT, PRIVATE_FILE);
    const incoming = new Incoming(ref, handle, hash, held, {
      isStored: () => this.holds(ref),
      install: () => this.install(ref, () => renameDurably(path, this.path(ref))),
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
      const path = join(this.partial, name);
      await this.inTurn(path, async () => {
        await this.takeOver(path);
        await rm(path, { force: true });
      });
    }
  }
}
