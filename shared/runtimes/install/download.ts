/**
 * One large file over HTTP, continued where an earlier attempt ended, and named only once its SHA-256 is right. It knows
 * nothing of what the file is.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, rename, rm, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { KindredError, throwIfAborted } from "../../base/errors.js";
import { makeFolder } from "../../base/folders.js";
import { networkReason } from "./package-index.js";
import { diskError, requireSpace } from "./space.js";

/** Tries without a byte of progress before giving up. */
const TRIES = 5;
/** Doubled after every try. */
const RETRY_DELAY_MS = 1000;
/** The largest wheel on the public index has under 1 GiB; what grows beyond this is no wheel. */
const MAX_BYTES = 8 * 2 ** 30;

export interface Source {
  /** Name for messages. */
  readonly file: string;
  readonly url: string;
  readonly sha256: string;
  /** Absent where nobody said; then the server's word is taken. */
  readonly bytes?: number;
}

export interface DownloadOptions {
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
  /** Called with the bytes that are there at the start, then with what comes; negative where the server begins anew. */
  readonly onBytes?: (bytes: number) => void;
  /** Before the second try of a cut connection. @default 1000 */
  readonly retryDelayMs?: number;
}

/**
 * Fetches into `path`, by way of `path.part`, which a stop leaves to be continued. A file that is there already is taken.
 * @throws {KindredError} `unavailable`, `checksum_mismatch`, `too_large` (the file, or the disk is full), `cancelled`
 */
export async function download(source: Source, path: string, options: DownloadOptions = {}): Promise<void> {
  const there = await stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
  if (there !== undefined) {
    options.onBytes?.(there);
    return;
  }
  const part = `${path}.part`;
  try {
    makeFolder(dirname(path));
    await fill(source, part, options);
    await checkSum(source, part, options.signal);
    await rename(part, path);
  } catch (error) {
    if (options.signal?.aborted) throw new KindredError("cancelled", `stopped fetching ${source.file}`, {}, error);
    throw diskError(error, dirname(path));
  }
}

class RangeRefused extends Error {}

async function fill(source: Source, part: string, options: DownloadOptions): Promise<void> {
  const { signal, onBytes } = options;
  const handle = await open(part, "a");
  try {
    let have = (await handle.stat()).size;
    onBytes?.(have);
    const restart = async (): Promise<void> => {
      await handle.truncate(0);
      onBytes?.(-have);
      have = 0;
    };
    let size = source.bytes;
    if (size !== undefined && have > size) await restart();
    if (size !== undefined) await requireSpace(dirname(part), size - have, source.file);
    let delayMs = options.retryDelayMs ?? RETRY_DELAY_MS;
    for (let failures = 0; size === undefined || have < size; ) {
      throwIfAborted(signal);
      const start = have;
      try {
        const response = await request(source, have, options);
        if (have > 0 && response.status === 200) await restart(); // a server without ranges sends all of it
        size = sizeOf(source, response, have);
        for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
          if (have + chunk.byteLength > size) throw new Error(`more than the file's ${size} bytes came`);
          await handle.appendFile(chunk);
          have += chunk.byteLength;
          onBytes?.(chunk.byteLength);
        }
        if (have < size) throw new Error("the connection ended early");
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof KindredError || (error as NodeJS.ErrnoException).syscall === "write") throw error;
        if (error instanceof RangeRefused) await restart();
        if (have > start) {
          failures = 0;
          delayMs = options.retryDelayMs ?? RETRY_DELAY_MS;
        } else if (++failures >= TRIES)
          throw new KindredError(
            "unavailable",
            `${source.file} stopped at ${have} of ${size ?? "unknown"} bytes (${networkReason(error)}) and did not continue in ` +
              `${TRIES} tries; what has come is kept: run the same again to continue`,
            { file: source.file, have, size },
            error,
          );
        await sleep(delayMs, undefined, { signal });
        delayMs *= 2;
      }
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

async function request(source: Source, start: number, { headers, signal }: DownloadOptions): Promise<Response> {
  const response = await fetch(source.url, {
    // identity: offsets of a range are those of the file, not of a compressed body.
    headers: { ...headers, "accept-encoding": "identity", ...(start > 0 ? { range: `bytes=${start}-` } : {}) },
    ...(signal === undefined ? {} : { signal }),
  });
  const { status } = response;
  if (response.ok) return response;
  await response.body?.cancel();
  if (status === 416) throw new RangeRefused(`the server has no bytes from ${start} on`);
  if (status >= 500 || status === 429) throw new Error(`the server answers ${status}`);
  throw new KindredError("unavailable", `${source.file}: the server answers ${status}`, { file: source.file, status });
}

/** Bytes of the whole file, as an answer to a request from `start` on has them. */
function sizeOf(source: Source, response: Response, start: number): number {
  const range = /^bytes (\d+)-\d+\/(\d+)$/.exec(response.headers.get("content-range") ?? "");
  if (response.status === 206 && range !== null && Number(range[1]) !== start)
    throw new Error(`the server sent bytes from ${range[1]} on, asked for ${start}`);
  if (source.bytes !== undefined) return source.bytes;
  const length = response.headers.get("content-length");
  const size = range !== null ? Number(range[2]) : length === null ? Number.NaN : start + Number(length);
  if (!Number.isSafeInteger(size))
    throw new KindredError("unavailable", `${source.file}: neither the index nor the server says how long it is`, {
      file: source.file,
    });
  if (size > MAX_BYTES)
    throw new KindredError("too_large", `${source.file}: ${size} bytes, more than any wheel has`, {
      file: source.file,
      size,
    });
  return size;
}

async function checkSum(source: Source, path: string, signal: AbortSignal | undefined): Promise<void> {
  const hash = createHash("sha256");
  const stream = createReadStream(path, { highWaterMark: 1 << 20, ...(signal === undefined ? {} : { signal }) });
  for await (const chunk of stream) hash.update(chunk as Uint8Array);
  const actual = hash.digest("hex");
  if (actual === source.sha256) return;
  // Kept, it would be continued, and never come right.
  await rm(path, { force: true });
  throw new KindredError(
    "checksum_mismatch",
    `${source.file} has the SHA-256 ${actual}, the index says ${source.sha256}; it is deleted: run the same again`,
    { file: source.file, expected: source.sha256, actual },
  );
}
