/**
 * Files and folders that their owner alone can read, whatever the umask. Where a file system has no permissions (FAT, some network
 * shares, Windows), those of the folder above hold.
 */
import { chmodSync, readdirSync, statSync } from "node:fs";
import { open } from "node:fs/promises";
import { makeFolder } from "./folders.js";

export const PRIVATE_FILE = 0o600;
export const PRIVATE_FOLDER = 0o700;

/** Rights of the group and of others. */
const OTHERS = 0o077;

/** Takes the rights of group and others from a file or folder that is there. */
export function narrow(path: string): void {
  const { mode } = statSync(path);
  if ((mode & OTHERS) === 0) return;
  try {
    chmodSync(path, mode & 0o7700);
  } catch {
    // Another user's folder, or a file system without permissions. What is made in it is private by itself.
  }
}

/**
 * Makes a folder with those above it, or narrows one that is there and empty. A folder with content keeps its rights: it may serve
 * others too, and all that Kindred makes in it is private by itself.
 * @throws {KindredError} as `makeFolder`
 */
export function makePrivateFolder(folder: string): void {
  if (makeFolder(folder, { mode: PRIVATE_FOLDER }) !== undefined) return;
  if (readdirSync(folder).length === 0) narrow(folder);
}

/** Makes an empty file unless there is a file, whose rights are narrowed. Never opens a file that is there. */
export async function makePrivateFile(path: string): Promise<void> {
  try {
    await (await open(path, "wx", PRIVATE_FILE)).close();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
    narrow(path);
  }
}
