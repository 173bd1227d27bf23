/**
 * A coordinator's state in memory, for tests that kill the coordinator. What a method wrote is there for the next process; a power
 * cut undoes what the store does not promise to keep through one: clients, open tasks and uploads since the last outcome or memo.
 */
import { createHash } from "node:crypto";
import {
  type Blobs,
  type BlobWriter,
  checkRange,
  type IncomingBlob,
  type Store,
  type StoredClient,
  type StoredEvent,
  type StoredTask,
  type TaskOutcome,
} from "../../coordinator/storage/types.js";
import { KindredError } from "../../shared/base/errors.js";
import type { BlobRef } from "../../shared/wire/types.js";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export class MemoryStore implements Store {
  readonly blobs: Blobs = new MemoryBlobs();
  /** As JSON, as on a disk: nobody holds on to a stored object. */
  private readonly records = new Map<string, string>();
  /** Undoes the writes that a power cut may take, latest last. */
  private readonly undo: (() => void)[] = [];

  powerCut(): void {
    for (const undo of this.undo.splice(0).reverse()) undo();
  }

  async clients(): Promise<StoredClient[]> {
    const names = [...this.records.keys()].filter((key) => key.startsWith("client/")).sort();
    return names.map((key) => this.read<StoredClient>(key)!);
  }

  async saveClient(client: StoredClient): Promise<void> {
    this.write(`client/${client.name}`, client, "process");
  }

  async task(id: string): Promise<StoredTask | undefined> {
    const task = this.read<Omit<StoredTask, "outcome">>(`task/${id}`);
    const outcome = this.read<TaskOutcome>(`outcome/${id}`);
    return task && { ...task, ...(outcome === undefined ? {} : { outcome }) };
  }

  async addTask(task: Omit<StoredTask, "outcome">): Promise<void> {
    if (this.records.has(`task/${task.id}`)) throw new Error(`task ${task.key} of ${task.client} is there already`);
    this.write(`task/${task.id}`, task, "process");
  }

  async settleTask(id: string, outcome: TaskOutcome): Promise<boolean> {
    if (!this.records.has(`task/${id}`) || this.records.has(`outcome/${id}`)) return false;
    this.write(`outcome/${id}`, outcome, "machine");
    return true;
  }

  async announceUpload(taskId: string, ref: BlobRef): Promise<number> {
    const key = `upload/${taskId}/${ref.sha256}`;
    if (!this.records.has(key)) this.write(key, { size: ref.size, complete: false }, "process");
    return [...this.records.keys()].filter((other) => other.startsWith(`upload/${taskId}/`)).length;
  }

  async completeUpload(taskId: string, ref: BlobRef): Promise<void> {
    const key = `upload/${taskId}/${ref.sha256}`;
    if (this.records.has(key)) this.write(key, { size: ref.size, complete: true }, "process");
  }

  async isUploaded(taskId: string, ref: BlobRef): Promise<boolean> {
    const upload = this.read<{ size: number; complete: boolean }>(`upload/${taskId}/${ref.sha256}`);
    return upload?.complete === true && upload.size === ref.size;
  }

  async memo(key: string): Promise<string | undefined> {
    return this.read<string>(`memo/${key}`);
  }

  async saveMemo(key: string, json: string): Promise<void> {
    this.write(`memo/${key}`, json, "machine");
  }

  async appendEvents(events: readonly StoredEvent[]): Promise<void> {
    for (const event of events) {
      if (this.records.has(`event/${event.key}`)) continue;
      const seq = (await this.events(1)).length + 1;
      this.write(`event/${event.key}`, { ...event, seq }, "process");
    }
  }

  async events(from: number, limit = Number.POSITIVE_INFINITY): Promise<StoredEvent[]> {
    const keys = [...this.records.keys()].filter((key) => key.startsWith("event/"));
    return keys.map((key) => this.read<StoredEvent>(key)!).slice(from - 1, from - 1 + limit);
  }

  async close(): Promise<void> {}

  private read<T>(key: string): T | undefined {
    const json = this.records.get(key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  /** @param survives the death of what */
  private write(key: string, value: unknown, survives: "process" | "machine"): void {
    const before = this.records.get(key);
    this.records.set(key, JSON.stringify(value));
    if (survives === "machine") this.undo.length = 0;
    else this.undo.push(() => (before === undefined ? this.records.delete(key) : this.records.set(key, before)));
  }
}

class MemoryBlobs implements Blobs {
  private readonly whole = new Map<string, Uint8Array>();
  private readonly partial = new Map<string, Uint8Array>();
  private readonly open = new Map<string, Incoming>();

  async put(bytes: Uint8Array): Promise<BlobRef> {
    const ref = { sha256: sha256(bytes), size: bytes.length };
    this.whole.set(ref.sha256, bytes.slice());
    return ref;
  }

  async get(ref: BlobRef): Promise<Uint8Array> {
    const bytes = this.whole.get(ref.sha256);
    if (bytes?.length === ref.size) return bytes.slice();
    throw new KindredError("not_found", `blob ${ref.sha256} of ${ref.size} bytes is not in memory`);
  }

  async has(ref: BlobRef): Promise<boolean> {
    return this.whole.get(ref.sha256)?.length === ref.size;
  }

  async write(): Promise<BlobWriter> {
    const pieces: Uint8Array[] = [];
    return {
      append: async (bytes) => void pieces.push(bytes.slice()),
      finish: () => this.put(Uint8Array.from(Buffer.concat(pieces))),
      abort: async () => void pieces.splice(0),
    };
  }

  async range(ref: BlobRef, offset: number, length: number): Promise<Buffer> {
    checkRange(ref, offset, length);
    return Buffer.from((await this.get(ref)).slice(offset, offset + length));
  }

  async *read(ref: BlobRef, offset: number, pieceBytes: number): AsyncGenerator<Buffer, void, undefined> {
    const bytes = await this.get(ref);
    for (let at = offset; at < bytes.length; at += pieceBytes) yield Buffer.from(bytes.slice(at, at + pieceBytes));
  }

  private name = (taskId: string, ref: BlobRef): string => `${taskId}-${ref.sha256}-${ref.size}`;

  async held(taskId: string, ref: BlobRef): Promise<number> {
    await this.open.get(this.name(taskId, ref))?.suspend();
    return this.partial.get(this.name(taskId, ref))?.length ?? 0;
  }

  async receive(taskId: string, ref: BlobRef): Promise<IncomingBlob> {
    const name = this.name(taskId, ref);
    await this.open.get(name)?.suspend();
    const incoming = new Incoming(this.whole, this.partial, name, ref);
    this.open.set(name, incoming);
    return incoming;
  }

  async dropUnfinished(taskId: string): Promise<void> {
    for (const name of [...this.partial.keys()]) {
      if (!name.startsWith(`${taskId}-`)) continue;
      await this.open.get(name)?.suspend();
      this.partial.delete(name);
    }
  }
}

class Incoming implements IncomingBlob {
  private ended = false;

  constructor(
    private readonly whole: Map<string, Uint8Array>,
    private readonly partial: Map<string, Uint8Array>,
    private readonly name: string,
    private readonly ref: BlobRef,
  ) {}

  get held(): number {
    return this.partial.get(this.name)?.length ?? 0;
  }

  async append(bytes: Uint8Array): Promise<void> {
    if (this.ended) throw new KindredError("cancelled", `upload of ${this.ref.sha256} was taken over by a later one`);
    const joined = Buffer.concat([this.partial.get(this.name) ?? new Uint8Array(0), bytes]);
    if (joined.length > this.ref.size) throw new KindredError("too_large", `upload of ${this.ref.sha256} is too long`);
    this.partial.set(this.name, joined);
  }

  async finish(): Promise<void> {
    if (this.ended) throw new KindredError("cancelled", `upload of ${this.ref.sha256} was taken over by a later one`);
    this.ended = true;
    const bytes = this.partial.get(this.name) ?? new Uint8Array(0);
    if (bytes.length < this.ref.size)
      throw new KindredError("unavailable", `upload of ${this.ref.sha256} is incomplete`);
    this.partial.delete(this.name);
    if (sha256(bytes) !== this.ref.sha256)
      throw new KindredError("checksum_mismatch", `blob ${this.ref.sha256}: other bytes`);
    this.whole.set(this.ref.sha256, Uint8Array.from(bytes));
  }

  async suspend(): Promise<void> {
    this.ended = true;
  }
}
