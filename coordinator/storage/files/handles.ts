/** Files that stay open between reads, at most `bound` at once. Knows nothing of what is in them. */
import { type FileHandle, open } from "node:fs/promises";
import { closedState } from "../faults.js";

interface OpenFile {
  readonly file: Promise<{ readonly handle: FileHandle; readonly size: number }>;
  users: number;
  /** Closed by its last user. */
  forgotten?: boolean;
}

export class FileHandles {
  /** By path, least recently used first. */
  private readonly files = new Map<string, OpenFile>();
  /** Calls that wait until one of the open files has no user. */
  private readonly waiting: (() => void)[] = [];
  private closed = false;

  /** @param inspect called with each file that is opened, before its first use; its error is that of the use */
  constructor(
    private readonly bound: number,
    private readonly inspect: (path: string, handle: FileHandle) => Promise<void> = async () => undefined,
  ) {}

  /**
   * Calls `work` with the open file and the size that it had when it was opened.
   * @throws {KindredError} `cancelled` after `close`; else the file system's error or that of `work`
   */
  async use<T>(path: string, work: (handle: FileHandle, size: number) => Promise<T>): Promise<T> {
    const entry = await this.take(path);
    try {
      const { handle, size } = await entry.file;
      return await work(handle, size);
    } finally {
      entry.users--;
      if (entry.forgotten && entry.users === 0) await closeFile(entry);
      this.waiting.shift()?.();
    }
  }

  /** Forgets an open file: the next use opens what is there by then. Its present users keep it, and the last one closes it. */
  async forget(path: string): Promise<void> {
    const entry = this.files.get(path);
    if (entry === undefined) return;
    this.files.delete(path);
    entry.forgotten = true;
    if (entry.users > 0) return;
    await closeFile(entry);
    this.waiting.shift()?.();
  }

  /** Closes all files once the reads under way have ended. */
  async close(): Promise<void> {
    this.closed = true;
    for (const resume of this.waiting.splice(0)) resume();
    const files = [...this.files.values()];
    this.files.clear();
    await Promise.all(files.map(closeFile));
  }

  private async take(path: string): Promise<OpenFile> {
    for (;;) {
      if (this.closed) throw closedState(path);
      const known = this.files.get(path);
      if (known !== undefined || this.files.size < this.bound) {
        const entry = known ?? this.opened(path);
        this.files.delete(path);
        this.files.set(path, entry);
        entry.users++;
        return entry;
      }
      const idle = [...this.files].find(([, { users }]) => users === 0);
      if (idle === undefined) await new Promise<void>((resume) => this.waiting.push(resume));
      else {
        this.files.delete(idle[0]);
        await closeFile(idle[1]);
      }
    }
  }

  private opened(path: string): OpenFile {
    const entry = { file: this.open(path), users: 0 };
    // The failure is reported to the users of the entry; later calls try again.
    entry.file.catch(() => {
      if (this.files.get(path) === entry) this.files.delete(path);
    });
    return entry;
  }

  private async open(path: string): Promise<{ handle: FileHandle; size: number }> {
    const handle = await open(path, "r");
    try {
      await this.inspect(path, handle);
      return { handle, size: (await handle.stat()).size };
    } catch (error) {
      await handle.close();
      throw error;
    }
  }
}

async function closeFile({ file }: OpenFile): Promise<void> {
  const opened = await file.catch(() => undefined);
  await opened?.handle.close();
}
