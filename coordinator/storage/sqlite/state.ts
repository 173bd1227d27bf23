/** A state in a folder: records in `state.db`, blobs in files, the lease in `lock.db`. */
import { constants, existsSync } from "node:fs";
import { access, stat, statfs } from "node:fs/promises";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { diskTrouble } from "../../../shared/base/disk.js";
import { KindredError } from "../../../shared/base/errors.js";
import { makePrivateFile, makePrivateFolder, narrow } from "../../../shared/base/private.js";
import { FileBlobs } from "../files/blobs.js";
import { gatedBlobs } from "../gated.js";
import { orTrouble, stateUnavailable } from "../trouble.js";
import type { Scheme, State, StateReader } from "../types.js";
import { Connection, ReadingConnection } from "./database.js";
import { leaseHeld, takeLease } from "./lease.js";
import { SqliteReader, SqliteRecords } from "./records.js";
import { stateRemoval } from "./remove.js";
import { checkSchema, createTables } from "./schema.js";

export const sqliteScheme: Scheme = {
  open: async (url) => open(folderOf(url)),
  read: async (url) => read(folderOf(url)),
  inUse: async (url) => leaseHeld(folderOf(url)),
  removal: async (url, also) => stateRemoval(folderOf(url), also),
  folder: folderOf,
};

/** @throws {KindredError} `invalid_option` for a URL of another host, or one that is no URL */
export function folderOf(url: string): string {
  if (!/^file:/i.test(url)) return resolve(url);
  try {
    return /^file:\//i.test(url) ? fileURLToPath(url) : resolve(decodeURIComponent(url.slice("file:".length)));
  } catch (error) {
    const message = `state ${url}: is no URL of a folder; expected file:///absolute/folder or file:relative/folder (${(error as Error).message})`;
    throw new KindredError("invalid_option", message, { url }, error);
  }
}

async function open(folder: string): Promise<State> {
  await mustBeWritable(folder);
  const lease = await takeLease(folder);
  const file = join(folder, "state.db");
  try {
    const connection = new Connection(file);
    createTables(connection, file);
    const records = new SqliteRecords(connection);
    const blobs = await orTrouble(folder, () => FileBlobs.at(folder));
    return {
      records,
      blobs: gatedBlobs(blobs, (_, call) => orTrouble(folder, call)),
      close: async () => {
        try {
          records.close();
          await blobs.close();
        } finally {
          await lease.release();
        }
      },
    };
  } catch (error) {
    await lease.release();
    throw error;
  }
}

/** A commit of one event writes a few pages of 4 KiB. */
const LEAST_ROOM_BYTES = 16_384;

async function read(folder: string): Promise<StateReader> {
  const file = join(folder, "state.db");
  const found = await stat(file).catch((error: NodeJS.ErrnoException) => error);
  if (found instanceof Error) throw unreadable(folder, found);
  const connection = new ReadingConnection(file);
  try {
    checkSchema(connection, file);
  } catch (error) {
    connection.close();
    throw error;
  }
  const blobs = FileBlobs.reading(folder);
  return {
    records: new SqliteReader(connection),
    blobs,
    hasRoom: async () => {
      const { bavail, bsize } = await statfs(folder);
      return bavail * bsize >= LEAST_ROOM_BYTES;
    },
    close: async () => {
      connection.close();
      await blobs.close();
    },
  };
}

function unreadable(folder: string, error: NodeJS.ErrnoException): KindredError {
  if (error.code === "ENOENT" || error.code === "ENOTDIR") {
    return new KindredError("not_found", `state ${folder}: holds no state (no state.db)`, { folder }, error);
  }
  return new KindredError("invalid_option", `state ${folder}: cannot be read (${error.message})`, { folder }, error);
}

/**
 * Makes the folder and the databases' files, readable by their owner alone. SQLite opens a file that it may not write to read-only, and
 * would then grant a lease to everybody.
 */
async function mustBeWritable(folder: string): Promise<void> {
  try {
    makePrivateFolder(folder);
    await access(folder, constants.W_OK | constants.X_OK);
    for (const name of ["lock.db", "state.db"]) {
      const file = join(folder, name);
      if (existsSync(file)) await access(file, constants.W_OK);
      // SQLite gives a database's log and index the rights of the database.
      await makePrivateFile(file);
      for (const part of [`${file}-wal`, `${file}-shm`]) if (existsSync(part)) narrow(part);
    }
  } catch (error) {
    const found = error instanceof KindredError ? error.cause : error;
    const { code = "", message } = found as NodeJS.ErrnoException;
    const trouble = diskTrouble(found);
    if (trouble !== undefined && trouble !== "readonly") throw stateUnavailable(trouble, folder, error);
    const problem = ["EEXIST", "ENOTDIR"].includes(code) ? "is, or is below, a file" : "is not writable";
    const text = `state ${folder}: ${problem}; expected a folder that may be written, or none; choose another one (${message})`;
    throw new KindredError("invalid_option", text, { folder, code }, error);
  }
}
