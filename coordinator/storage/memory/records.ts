/** Records in memory. Kept as JSON, as on a disk, so that nobody holds on to a stored object. */
import { KindredError } from "../../../shared/base/errors.js";
import type { BlobRef } from "../../../shared/wire/types.js";
import { announcedOtherwise } from "../faults.js";
import type { Records, StoredClient, StoredEvent, StoredTask, TaskOutcome } from "../types.js";

/** Of a task's blobs: what was announced, by SHA-256. */
type Uploads = Record<string, { readonly size: number; readonly complete: boolean }>;

export class MemoryRecords implements Records {
  /**
   * @param rows JSON by kind and key: `client/NAME`, `task/ID`, `outcome/ID`, `uploads/TASK`, `memo/KEY`, `event/POSITION`,
   *   `position/EVENT`, `events` (how many)
   */
  constructor(private readonly rows: Map<string, string> = new Map()) {}

  async clients(): Promise<StoredClient[]> {
    const keys = [...this.rows.keys()].filter((key) => key.startsWith("client/")).sort();
    return keys.map((key) => this.read<StoredClient>(key)!);
  }

  async saveClient(client: StoredClient): Promise<void> {
    this.write(`client/${client.name}`, client);
  }

  async task(id: string): Promise<StoredTask | undefined> {
    const task = this.read<Omit<StoredTask, "outcome">>(`task/${id}`);
    const outcome = this.read<TaskOutcome>(`outcome/${id}`);
    return task && { ...task, ...(outcome === undefined ? {} : { outcome }) };
  }

  async addTask(task: Omit<StoredTask, "outcome">): Promise<void> {
    if (this.rows.has(`task/${task.id}`)) {
      throw new KindredError("internal", `task ${task.id} (${task.key} of ${task.client}) is stored already`);
    }
    this.write(`task/${task.id}`, task);
  }

  async settleTask(id: string, outcome: TaskOutcome): Promise<boolean> {
    if (!this.rows.has(`task/${id}`) || this.rows.has(`outcome/${id}`)) return false;
    this.write(`outcome/${id}`, outcome);
    return true;
  }

  async announceUpload(taskId: string, ref: BlobRef, most: number): Promise<boolean> {
    const uploads = this.uploads(taskId);
    const known = uploads[ref.sha256];
    if (known !== undefined && known.size !== ref.size) throw announcedOtherwise(ref, known.size);
    if (known !== undefined || Object.keys(uploads).length >= most) return known !== undefined;
    this.write(`uploads/${taskId}`, { ...uploads, [ref.sha256]: { size: ref.size, complete: false } });
    return true;
  }

  async completeUpload(taskId: string, { sha256, size }: BlobRef): Promise<void> {
    const uploads = this.uploads(taskId);
    if (uploads[sha256] !== undefined)
      this.write(`uploads/${taskId}`, { ...uploads, [sha256]: { size, complete: true } });
  }

  async isUploaded(taskId: string, { sha256, size }: BlobRef): Promise<boolean> {
    const upload = this.uploads(taskId)[sha256];
    return upload?.complete === true && upload.size === size;
  }

  async memo(key: string): Promise<string | undefined> {
    return this.rows.get(`memo/${key}`);
  }

  async saveMemo(key: string, json: string): Promise<void> {
    this.rows.set(`memo/${key}`, json);
  }

  async forgetBlob({ sha256 }: BlobRef): Promise<number> {
    const named = [...this.rows].filter(([, json]) => json.includes(sha256));
    let forgotten = 0;
    for (const [key, json] of named) {
      if (/^(outcome|memo)\//.test(key)) this.rows.delete(key);
      else if (/^uploads\//.test(key) && (JSON.parse(json) as Uploads)[sha256]?.complete) {
        const uploads = JSON.parse(json) as Uploads;
        this.write(key, { ...uploads, [sha256]: { ...uploads[sha256], complete: false } });
      } else continue;
      forgotten++;
    }
    return forgotten;
  }

  async appendEvents(events: readonly StoredEvent[]): Promise<void> {
    for (const { key, at, json } of events) {
      if (this.rows.has(`position/${key}`)) continue;
      const seq = (this.read<number>("events") ?? 0) + 1;
      this.write(`position/${key}`, seq);
      this.write(`event/${seq}`, { seq, key, at, json } satisfies StoredEvent);
      this.write("events", seq);
    }
  }

  async events(from: number, limit = Number.POSITIVE_INFINITY): Promise<StoredEvent[]> {
    const first = Math.max(1, from);
    const last = Math.min(this.read<number>("events") ?? 0, first + limit - 1);
    return Array.from(
      { length: Math.max(0, last - first + 1) },
      (_, i) => this.read<StoredEvent>(`event/${first + i}`)!,
    );
  }

  private uploads(taskId: string): Uploads {
    return this.read<Uploads>(`uploads/${taskId}`) ?? {};
  }

  private read<T>(key: string): T | undefined {
    const json = this.rows.get(key);
    return json === undefined ? undefined : (JSON.parse(json) as T);
  }

  private write(key: string, value: unknown): void {
    this.rows.set(key, JSON.stringify(value));
  }
}
