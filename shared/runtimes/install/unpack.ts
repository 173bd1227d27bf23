/**
 * Chosen members of a zip file, written below a folder. Names and sizes are the archive's word, and are checked: nothing is
 * written outside the folder, and nothing beyond the size that was announced. It knows nothing of wheels.
 */
import { createWriteStream } from "node:fs";
import { basename, dirname, relative, resolve, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import yauzl, { type Entry, type ZipFile } from "yauzl";
import { KindredError } from "../../base/errors.js";
import { makeFolder } from "../../base/folders.js";
import { diskError, requireSpace } from "./space.js";

/** The largest member that is unpacked anywhere (libtensorflow_cc.so.2 with CUDA) has 1.1 GB. */
const MAX_MEMBER_BYTES = 8 * 2 ** 30;
/** Of one archive, unpacked; the largest has 1.3 GB. */
const MAX_TOTAL_BYTES = 16 * 2 ** 30;
/** TensorFlow's wheels have 16,000. */
const MAX_ENTRIES = 500_000;
/** A text that is read whole. */
const MAX_TEXT_BYTES = 4 * 2 ** 20;

const FILE_TYPE = 0o170000;
const REGULAR = 0o100000;

export interface UnpackOptions {
  readonly signal?: AbortSignal;
  /** Called with the bytes that the chosen members have together, before the first is written. */
  readonly onTotal?: (bytes: number) => void;
  readonly onBytes?: (bytes: number) => void;
}

const invalid = (archive: string, what: string, cause?: unknown): KindredError =>
  new KindredError("invalid_message", `${basename(archive)}: ${what}; it is not unpacked`, { file: archive }, cause);

/**
 * Unpacks the members that `choose` gives a place, relative to `folder`, which is made.
 * @returns the places, as given by `choose`
 * @throws {KindredError} `invalid_message` (not a zip file, or one whose names or sizes lie), `too_large` (bounds, or the disk
 *   is full), `cancelled`
 */
export async function unpack(
  archive: string,
  folder: string,
  choose: (member: string) => string | undefined,
  { signal, onTotal, onBytes }: UnpackOptions = {},
): Promise<string[]> {
  return await reading(archive, async (zip) => {
    const chosen: { entry: Entry; place: string; path: string }[] = [];
    const paths = new Set<string>();
    let total = 0;
    for await (const entry of entries(zip, archive)) {
      const place = entry.fileName.endsWith("/") ? undefined : choose(entry.fileName);
      if (place === undefined) continue;
      const path = resolve(folder, place);
      const inside = relative(resolve(folder), path);
      if (inside === "" || inside === ".." || inside.startsWith(`..${sep}`))
        throw invalid(archive, `${entry.fileName} would be written outside its folder`);
      if (paths.has(path)) throw invalid(archive, `${entry.fileName} is in it twice`);
      checkEntry(entry, archive);
      paths.add(path);
      total += entry.uncompressedSize;
      if (total > MAX_TOTAL_BYTES) throw invalid(archive, `its members claim more than ${MAX_TOTAL_BYTES} bytes`);
      chosen.push({ entry, place, path });
    }
    onTotal?.(total);
    try {
      makeFolder(folder);
      await requireSpace(folder, total, `unpacking ${basename(archive)}`);
      for (const { entry, path } of chosen) {
        makeFolder(dirname(path));
        const stream = await zip.openReadStreamPromise(entry);
        if (onBytes !== undefined) stream.on("data", (chunk: Uint8Array) => onBytes(chunk.byteLength));
        await pipeline(stream, createWriteStream(path, { flags: "wx" }), {
          ...(signal === undefined ? {} : { signal }),
        });
      }
    } catch (error) {
      if (signal?.aborted) throw new KindredError("cancelled", `stopped unpacking ${basename(archive)}`, {}, error);
      const known = diskError(error, folder);
      // yauzl's own: a compressed stream that breaks, or that holds another number of bytes than announced.
      throw known === error && !(error instanceof KindredError)
        ? invalid(archive, (error as Error).message, error)
        : known;
    }
    return chosen.map(({ place }) => place);
  });
}

/** The text of the one member whose name fits; undefined where there is none. */
export async function readMember(archive: string, name: RegExp): Promise<string | undefined> {
  return await reading(archive, async (zip) => {
    for await (const entry of entries(zip, archive)) {
      if (!name.test(entry.fileName)) continue;
      checkEntry(entry, archive);
      if (entry.uncompressedSize > MAX_TEXT_BYTES) throw invalid(archive, `${entry.fileName} is too long`);
      const chunks: Uint8Array[] = [];
      try {
        for await (const chunk of await zip.openReadStreamPromise(entry)) chunks.push(chunk as Uint8Array);
      } catch (error) {
        throw invalid(archive, (error as Error).message, error);
      }
      return Buffer.concat(chunks).toString("utf8");
    }
    return undefined;
  });
}

async function reading<T>(archive: string, work: (zip: ZipFile) => Promise<T>): Promise<T> {
  let zip: ZipFile;
  try {
    zip = await yauzl.openPromise(archive, { autoClose: false, strictFileNames: true, lazyEntries: true });
  } catch (error) {
    const known = diskError(error, archive);
    throw known === error ? invalid(archive, (error as Error).message, error) : known;
  }
  try {
    if (zip.entryCount > MAX_ENTRIES) throw invalid(archive, `it claims ${zip.entryCount} members`);
    return await work(zip);
  } finally {
    zip.close();
  }
}

/** yauzl refuses names that are absolute or hold `..` or a backslash. */
async function* entries(zip: ZipFile, archive: string): AsyncGenerator<Entry> {
  try {
    for await (const entry of zip.eachEntry()) yield entry;
  } catch (error) {
    throw error instanceof KindredError ? error : invalid(archive, (error as Error).message, error);
  }
}

function checkEntry(entry: Entry, archive: string): void {
  const type = (entry.externalFileAttributes >>> 16) & FILE_TYPE;
  // Archives made on systems without file types have none.
  if (type !== 0 && type !== REGULAR) throw invalid(archive, `${entry.fileName} is no regular file`);
  if (!entry.canDecodeFileData())
    throw invalid(archive, `${entry.fileName} is encrypted or compressed in an unknown way`);
  if (entry.uncompressedSize > MAX_MEMBER_BYTES)
    throw invalid(archive, `${entry.fileName} claims ${entry.uncompressedSize} bytes`);
}
