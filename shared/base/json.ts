/** JSON objects from files of bounded size, and canonical JSON. */
import { readFile, stat } from "node:fs/promises";
import { type ErrorCode, KindredError } from "./errors.js";

/** The beginning of the small text that Git has in the place of a large file which was not fetched. */
export const LFS_POINTER = "version https://git-lfs";
export const LFS_PROBLEM = "is a pointer of Git LFS, not the file itself; fetch it with git lfs pull";

/** The reason of a file system error, in words for common codes. */
export function reasonOf(error: unknown): string {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === "ENOENT") return "no such file";
  if (code === "EACCES" || code === "EPERM") return "permission denied";
  if (code === "EEXIST" || code === "ENOTDIR") return "a part of the path is a file";
  if (code === "EROFS") return "the file system is read-only";
  if (code === "ENAMETOOLONG") return "a name in the path is too long";
  if (code === "ELOOP") return "a link that leads to itself";
  if (code === "ENOSPC") return "no space left on the device";
  return code ?? (error instanceof Error ? error.message : String(error));
}

/** A value from a file for a message, truncated: hostile files may hold megabytes in one field. */
export function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? "undefined";
  return text.length > 100 ? `${text.slice(0, 100)}...` : text;
}

/**
 * Reads a JSON object.
 * @param maxBytes far above any real file of its kind; a larger file is refused before it is read
 * @throws {KindredError} `code` where the file is missing, too large, not JSON or not an object
 */
export async function readJsonObject(
  path: string,
  { maxBytes, code }: { readonly maxBytes: number; readonly code: ErrorCode },
): Promise<Record<string, unknown>> {
  let bytes: Uint8Array;
  try {
    const info = await stat(path);
    if (!info.isFile()) throw new KindredError(code, `${path}: is not a file`, { file: path });
    if (info.size > maxBytes)
      throw new KindredError(code, `${path}: ${info.size} bytes; at most ${maxBytes} are read`, {
        file: path,
        bytes: info.size,
      });
    bytes = await readFile(path);
  } catch (error) {
    if (error instanceof KindredError) throw error;
    throw new KindredError(code, `${path}: cannot be read (${reasonOf(error)})`, { file: path }, error);
  }
  const text = textOf(bytes, path, code);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new KindredError(code, `${path}: is not valid JSON (${(error as Error).message})`, { file: path }, error);
  }
  if (!isObject(value)) throw new KindredError(code, `${path}: is not a JSON object`, { file: path });
  return value;
}

/** Text without its byte order mark. @throws {KindredError} `code` where it is not UTF-8, or a stand-in for another file */
function textOf(bytes: Uint8Array, path: string, code: ErrorCode): string {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    throw new KindredError(code, `${path}: is not valid UTF-8; save it as UTF-8`, { file: path }, error);
  }
  if (!text.startsWith(LFS_POINTER)) return text;
  throw new KindredError(code, `${path}: ${LFS_PROBLEM}`, { file: path });
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** JSON with sorted keys and without spaces: equal values give equal text. */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(",")}]`;
  if (!isObject(value)) return JSON.stringify(value);
  const keys = Object.keys(value).sort();
  return `{${keys.map((key) => `${JSON.stringify(key)}:${canonicalJson(value[key])}`).join(",")}}`;
}

/**
 * Where two JSON values differ first, for a message: the field, and its value in both. Undefined where they are the same.
 * @example firstDifference({ a: { b: 1 } }, { a: {} }) // "a.b is 1 there and absent here"
 */
export function firstDifference(there: unknown, here: unknown, field = ""): string | undefined {
  if (isObject(there) && isObject(here)) {
    for (const key of new Set([...Object.keys(there), ...Object.keys(here)])) {
      const found = firstDifference(there[key], here[key], field === "" ? key : `${field}.${key}`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (Array.isArray(there) && Array.isArray(here) && there.length === here.length) {
    for (const [index, item] of there.entries()) {
      const found = firstDifference(item, here[index], `${field}[${index}]`);
      if (found !== undefined) return found;
    }
    return undefined;
  }
  if (there === undefined && here === undefined) return undefined;
  const shown = (value: unknown): string => (value === undefined ? "absent" : brief(value));
  if (there === undefined || here === undefined || canonicalJson(there) !== canonicalJson(here))
    return `${field} is ${shown(there)} there and ${shown(here)} here`;
  return undefined;
}
