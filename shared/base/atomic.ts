/**
 * Atomic writes: a file is written under a temporary name, synced, then renamed, so it is complete or absent. A crash leaves at most a
 * file named `.NAME.PID-RANDOM.tmp`. Files and made folders are their owner's alone, unless `access` says otherwise.
 */
import { randomBytes } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { makeFolder } from "./folders.js";
import { PRIVATE_FILE, PRIVATE_FOLDER } from "./private.js";

/** Who may read what is written: its owner alone, or whom the umask permits. */
export type Access = "owner" | "umask";

const FILE_MODE: Readonly<Record<Access, number>> = { owner: PRIVATE_FILE, umask: 0o666 };
const FOLDER_MODE: Readonly<Record<Access, number>> = { owner: PRIVATE_FOLDER, umask: 0o777 };

/** A file that is being written under a temporary name. Ended by a `commit` that succeeds, or by `discard`. */
export interface TemporaryFile {
  /** Open until `synced`. */
  readonly handle: FileHandle;
  /** Whether its bytes are on the disk. */
  readonly synced: boolean;
  /** Syncs the bytes, closes the file and renames it, replacing an existing file. Where that fails the file stays, for one more try. */
  commit(path: string): Promise<void>;
  /** Closes and removes the file. */
  discard(): Promise<void>;
}

/**
 * Creates an empty file under a temporary name, and its folder where it is missing.
 * @param folder on the file system of the file's later place
 * @param name recognisable in a listing of the folder
 */
export async function createTemporary(folder: string, name: string, access: Access = "owner"): Promise<TemporaryFile> {
  await makeDurably(folder, access);
  const temporary = join(folder, `.${name}.${process.pid}-${randomBytes(4).toString("hex")}.tmp`);
  const handle = await open(temporary, "wx+", FILE_MODE[access]);
  let synced = false;
  return {
    handle,
    get synced() {
      return synced;
    },
    commit: async (path) => {
      if (!synced) await handle.sync();
      synced = true;
      // The second time it does nothing.
      await handle.close();
      await renameDurably(temporary, path, access);
    },
    discard: async () => {
      // A close that fails leaves the file closed.
      await handle.close().catch(() => undefined);
      await rm(temporary, { force: true });
    },
  };
}

/** Whether a file of this name is left over from a write of a process that died. */
export function isTemporaryName(name: string): boolean {
  return /^\..+\.\d+-[0-9a-f]{8}\.tmp$/.test(name);
}

/**
 * Writes a file, creates its folder where it is missing, and replaces an existing file.
 * @param content the whole content, or a function that writes content that is too large for memory
 * @param options `temporaryFolder`: where the file grows. @default its own folder. `access`: @default "owner"
 * @throws the file system's error or the function's, with the temporary file removed
 */
export async function writeAtomically(
  path: string,
  content: Uint8Array | string | ((file: FileHandle) => Promise<void>),
  { temporaryFolder = dirname(path), access = "owner" }: { temporaryFolder?: string; access?: Access } = {},
): Promise<void> {
  const file = await createTemporary(temporaryFolder, basename(path), access);
  try {
    await (typeof content === "function" ? content(file.handle) : file.handle.writeFile(content));
    await file.commit(path);
  } catch (error) {
    await file.discard();
    throw error;
  }
}

/** Renames a synced file, and creates the new folder where it is missing. The rename is on the disk afterwards. */
export async function renameDurably(from: string, to: string, access: Access = "owner"): Promise<void> {
  await makeDurably(dirname(to), access);
  await rename(from, to);
  await syncFolder(dirname(to));
}

/** Creates a folder durably: each parent of a created folder is synced. */
async function makeDurably(folder: string, access: Access): Promise<void> {
  const made = makeFolder(folder, { mode: FOLDER_MODE[access] });
  if (made === undefined) return;
  const above = dirname(made);
  for (let path = resolve(folder); path.length > above.length; path = dirname(path)) await syncFolder(dirname(path));
}

/** Makes a rename durable. Windows cannot open a folder, so the rename depends on the file system there. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === "win32") return;
  const handle = await open(folder, "r");
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}
