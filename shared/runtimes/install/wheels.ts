/** A wheel on disk, and with it the wheels that it needs: from requirement to files. Knows no runtime. */
import { join } from "node:path";
import type { JobContext } from "../../base/command.js";
import { download } from "./download.js";
import type { PackageIndex, Platform, Wheel } from "./package-index.js";
import { readMember, unpack } from "./unpack.js";
import { parseRequirements, type Requirement } from "./versions.js";

export interface LocalWheel extends Wheel {
  readonly path: string;
}

/** Fetches the newest wheel that fulfils a requirement into `folder`, continuing what is there. */
export async function fetchWheel(
  index: PackageIndex,
  requirement: Requirement,
  platform: Platform,
  folder: string,
  { progress, signal, log }: JobContext,
): Promise<LocalWheel> {
  const wheel = await index.newest(requirement, platform);
  const path = join(folder, wheel.file);
  log.debug("wheel", { file: wheel.file, bytes: wheel.bytes, url: wheel.url });
  const stage = progress.stage(`fetch ${wheel.file}`, wheel.bytes ?? 0);
  await download(wheel, path, { headers: index.headersFor(wheel.url), signal, onBytes: (bytes) => stage.tick(bytes) });
  stage.done();
  return { ...wheel, path };
}

/** What wheels are fetched for. */
export interface WheelTarget {
  readonly platform: Platform;
  /** Folder that gets the files. */
  readonly folder: string;
  readonly context: JobContext;
}

/**
 * The wheels with CUDA's libraries that a wheel's extras ask for, and what those need in turn.
 * @param extras names of extras of `root`, all of whose requirements on `nvidia-*` packages count
 */
export async function fetchNvidiaWheels(
  index: PackageIndex,
  root: LocalWheel,
  extras: readonly string[],
  { platform, folder, context }: WheelTarget,
): Promise<LocalWheel[]> {
  const found = new Map<string, LocalWheel>();
  const queue: Requirement[] = await needs(root, extras);
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    if (found.has(next.name)) continue;
    const wheel = await fetchWheel(index, next, platform, folder, context);
    found.set(next.name, wheel);
    queue.push(...(await needs(wheel, [])));
  }
  return [...found.values()];
}

async function needs(wheel: LocalWheel, extras: readonly string[]): Promise<Requirement[]> {
  const metadata = (await readMember(wheel.path, /^[^/]+\.dist-info\/METADATA$/)) ?? "";
  return parseRequirements(metadata).filter(
    ({ name, extra }) => name.startsWith("nvidia-") && (extra === undefined || extras.includes(extra)),
  );
}

/** Unpacks the chosen members, with a stage of its own. @returns their places */
export async function unpackWheel(
  wheel: LocalWheel,
  folder: string,
  choose: (member: string) => string | undefined,
  { progress, signal }: JobContext,
): Promise<readonly string[]> {
  let stage: ReturnType<typeof progress.stage> | undefined;
  const places = await unpack(wheel.path, folder, choose, {
    signal,
    onTotal: (total) => {
      stage = progress.stage(`unpack ${wheel.file}`, total);
    },
    onBytes: (count) => stage?.tick(count),
  });
  stage?.done();
  return places;
}

/** Shared libraries of an `nvidia-*` wheel, kept where they lie: their search paths are relative to each other. */
export const nvidiaLibrary = (member: string): string | undefined =>
  /^nvidia\/(?:[\w-]+\/)+lib\/[\w.-]+\.so(?:\.\d+)*$/.test(member) ? member : undefined;
