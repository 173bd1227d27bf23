/**
 * A coordinator's state in memory, for tests that kill the coordinator. All writes are visible to the next process; a power cut undoes
 * the writes that a state does not promise to keep: clients, open tasks, uploads and events since the last outcome or memo.
 */
import { MemoryBlobs } from "../../coordinator/storage/memory/blobs.js";
import { MemoryRecords } from "../../coordinator/storage/memory/records.js";
import type { State } from "../../coordinator/storage/types.js";

export class MemoryStore implements State {
  private readonly rows = new PoweredRows();
  readonly records = new MemoryRecords(this.rows);
  readonly blobs = new MemoryBlobs();

  powerCut(): void {
    this.rows.powerCut();
  }

  async close(): Promise<void> {}
}

/** The rows of `MemoryRecords`, with the functions that undo those not on the disk yet. */
class PoweredRows extends Map<string, string> {
  /** Latest last. */
  private readonly undo: (() => void)[] = [];

  override set(key: string, value: string): this {
    const before = this.get(key);
    super.set(key, value);
    if (/^(outcome|memo)\//.test(key)) this.undo.length = 0;
    else this.undo.push(() => (before === undefined ? this.delete(key) : super.set(key, before)));
    return this;
  }

  powerCut(): void {
    for (const undo of this.undo.splice(0).reverse()) undo();
  }
}
