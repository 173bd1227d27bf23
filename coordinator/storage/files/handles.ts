/** Files that stay open between reads, at most `bound` at once. Knows nothing of what is in them. */
import { type FileHandle, open } from "node:fs/promises";
import { KindredError } from "../../../shared/base/errors.js";

interface OpenFile {
  readonly file: Promise<{ readonly handle: FileHandle; readonly size: number }>;
  users: number;
}

export class FileHandles {
  /** By path, least recently used first. */
  private readonly files = new Map<string, OpenFile>();
  /** Calls that wait until one of the open files has no user. */
  private readonly waiting: (() => void)[] = [];
  private closed = false;

  constructor(private readonly bound: number) {}

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
      this.waiting.shift()?.();
    }
  }

  /** Closes the file of this path, where it is open and not being read. */
  async forget(path: string): Promise<void> {
    const entry = this.files.get(path);
    if (entry === undefined || entry.users > 0) return;
    this.files.delete(path);
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
      if (this.closed) throw new KindredError("cancelled", `${path}: the state has been closed`);
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
    const entry = { file: openFile(path), users: 0 };
    // The failure is reported to the users of the entry; later calls try again.
    entry.file.catch(() => {
      if (this.files.get(path) === entry) this.files.delete(path);
    });
    return entry;
  }
}

async function openFile(path: string): Promise<{ handle: FileHandle; size: number }> {
  const handle = await open(path, "r");
  try {
    return { handle, size: (await handle.stat()).size };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

async function closeFile({ file }: OpenFile): Promise<void> {
  const opened = await file.catch(() => undefined);
  await opened?.handle.close();
}
