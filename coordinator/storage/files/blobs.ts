/**
 * Blobs as files named by their content: FOLDER/blobs/ab/abcd... A file appears by rename after its bytes are on disk, so
 * that each file there is whole. Uploads and blobs under way grow in FOLDER/partial, never in memory.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readdir, readFile, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { createTemporary, isTemporaryName, renameDurably, writeAtomically } from "../../../shared/base/atomic.js";
import { KindredError } from "../../../shared/base/errors.js";
import { makePrivateFolder, narrow, PRIVATE_FILE } from "../../../shared/base/private.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { checkRange, missingBlob } from "../faults.js";
import type { BlobReader, Blobs, BlobWriter, IncomingBlob } from "../types.js";
import { FileHandles } from "./handles.js";
import { Incoming } from "./incoming.js";
import { FileWriter } from "./writer.js";

/** Adapters of a round's clients that are read side by side; far below the 256 files that macOS lets a process open. */
const MAX_OPEN_FILES = 64;

async function fileSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

export class FileBlobs implements Blobs {
  private readonly open = new Map<string, Incoming>();
  /** By file of an upload: what was asked of it last. */
  private readonly queues = new Map<string, Promise<unknown>>();
  private readonly handles = new FileHandles(MAX_OPEN_FILES);

  private constructor(
    private readonly whole: string,
    private readonly partial: string,
  ) {}

  /** The blobs of a folder that no other process writes to. Removes what a killed process left of its writes. */
  static async at(folder: string): Promise<FileBlobs> {
    const blobs = new FileBlobs(join(folder, "blobs"), join(folder, "partial"));
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
    return new FileBlobs(join(folder, "blobs"), join(folder, "partial"));
  }

  /** Ends reading, and uploads as the end of the process does: the next one goes on with them. */
  async close(): Promise<void> {
    for (const path of [...this.open.keys()]) await this.inTurn(path, () => this.takeOver(path));
    await this.handles.close();
  }

  private path(ref: BlobRef): string {
    return join(this.whole, ref.sha256.slice(0, 2), ref.sha256);
  }

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = { sha256: createHash("sha256").update(bytes).digest("hex"), size: bytes.length };
    if (!(await this.has(ref))) await writeAtomically(this.path(ref), bytes, { temporaryFolder: this.partial });
    return ref;
  }

  async write(): Promise<BlobWriter> {
    const file = await createTemporary(this.partial, "write");
    return new FileWriter(file, { has: (ref) => this.has(ref), path: (ref) => this.path(ref) });
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

  async remove(ref: BlobRef): Promise<void> {
    await this.handles.forget(this.path(ref));
    await rm(this.path(ref), { force: true });
  }

  private async mustHave(ref: BlobRef): Promise<void> {
    if (!(await this.has(ref))) throw missingBlob(ref, this.whole);
  }

  async range(ref: BlobRef, offset: number, length: number): Promise<Buffer> {
    checkRange(ref, offset, length);
    // In a buffer of its own: the caller may view it as numbers or hand it to another thread.
    const bytes = Buffer.allocUnsafeSlow(length);
    await this.readInto(ref, offset, bytes);
    return bytes;
  }

  async readInto(ref: BlobRef, offset: number, target: Uint8Array): Promise<void> {
    const length = target.length;
    checkRange(ref, offset, length);
    try {
      await this.handles.use(this.path(ref), async (handle, size) => {
        if (size !== ref.size) throw missingBlob(ref, this.whole);
        for (let done = 0; done < length; ) {
          const { bytesRead } = await handle.read(target, done, length - done, offset + done);
          if (bytesRead === 0) throw new KindredError("not_found", `blob ${ref.sha256} was cut short while read`);
          done += bytesRead;
        }
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") throw missingBlob(ref, this.whole);
      throw error;
    }
  }

  async *read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined> {
    await this.mustHave(ref);
    for (let position = offset; position < ref.size; position += pieceBytes) {
      yield await this.range(ref, position, Math.min(pieceBytes, ref.size - position));
    }
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
    const handle = await open(path, "a", PRIVATE_FILE);
    const incoming = new Incoming(ref, handle, hash, held, {
      isStored: () => this.has(ref),
      install: () => renameDurably(path, this.path(ref)),
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
