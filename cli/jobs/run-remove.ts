/** The job of `kindred run rm`: removes a run from its folder. What else is in the folder stays, and links are not followed. */
import { lstat, readdir } from "node:fs/promises";
import { join, resolve } from "node:path";
import { stateFolder, stateInUse, stateRemoval } from "../../coordinator/storage/open.js";
import type { StateRemoval } from "../../coordinator/storage/types.js";
import { isTemporaryName } from "../../shared/base/atomic.js";
import { KindredError } from "../../shared/base/errors.js";
import { bytes, counted } from "../../shared/base/format.js";
import { type Amount, measure, remove, removeIfEmpty, sum } from "../../shared/base/remove.js";
import { oneLine } from "../../shared/base/terminal.js";
import { STATE_EXTRAS, simulationFiles } from "../../simulations/run-folder.js";
import { noRun } from "./read-run.js";

export interface RunRemoval {
  readonly kind: "simulation" | "coordinator's state";
  readonly amount: Amount;
  remove(): Promise<RemovedRun>;
}

export interface RemovedRun {
  /** Absolute path. */
  readonly removed: string;
  readonly files: number;
  readonly bytes: number;
  /** Names in the folder that are not the run's; empty where the folder is gone. */
  readonly left: readonly string[];
  /** Links that were removed, and what they lead to, which was not. */
  readonly links: readonly { readonly path: string; readonly target: string }[];
}

/** What a coordinator's command keeps beside the state. */
const COORDINATOR_EXTRAS: readonly string[] = ["result.json"];

/**
 * Prepares the removal of a run. Changes nothing.
 * @param run a simulation's folder, or a coordinator's state
 * @throws {KindredError} `not_found` where there is no run, `invalid_option` where a process is at work on it or the folder is a link
 */
export async function runRemoval(run: string): Promise<RunRemoval> {
  const folder = stateFolder(run);
  if (folder === undefined) return await coordinatorRemoval(run);
  const place = await lstat(folder).catch(() => undefined);
  if (place?.isSymbolicLink()) {
    throw new KindredError("invalid_option", `${run}: is a link; give the folder that it leads to`, { run });
  }
  const files = await simulationFiles(folder);
  const state = await simulatedState(join(folder, "state"));
  return files === undefined && state === undefined
    ? await coordinatorRemoval(run)
    : await simulationRemoval(folder, files ?? [], state);
}

async function coordinatorRemoval(run: string): Promise<RunRemoval> {
  const removal = await stateRemoval(run, [...STATE_EXTRAS, ...COORDINATOR_EXTRAS]).catch((error: unknown) => {
    throw error instanceof KindredError && error.code === "not_found" ? noRun(run) : error;
  });
  return {
    kind: "coordinator's state",
    amount: await removal.measure(),
    remove: async () => await ended(removal.folder, await removal.remove()),
  };
}

/** A simulation's state; the link where it is one to a state elsewhere; undefined where there is none. */
async function simulatedState(folder: string): Promise<StateRemoval | undefined> {
  const place = await lstat(folder).catch(() => undefined);
  if (place?.isSymbolicLink() !== true) {
    return await stateRemoval(folder, STATE_EXTRAS).catch((error: unknown) => {
      if (error instanceof KindredError && error.code === "not_found") return undefined;
      throw error;
    });
  }
  if (await stateInUse(folder)) {
    const message = `${folder}: a process is at work on this run; stop it first (Ctrl-C), or wait until it has finished`;
    throw new KindredError("invalid_option", message, { folder });
  }
  return { folder, measure: () => measure(folder), remove: () => remove(folder) };
}

async function simulationRemoval(
  folder: string,
  names: readonly string[],
  state: StateRemoval | undefined,
): Promise<RunRemoval> {
  const parts = async (): Promise<string[]> =>
    [...names, ...(await readdir(folder)).filter(isTemporaryName)].map((name) => join(folder, name));
  const each = async (act: (path: string) => Promise<Amount>): Promise<Amount> => {
    const amounts: Amount[] = [];
    for (const path of await parts()) amounts.push(await act(path));
    return sum(amounts);
  };
  return {
    kind: "simulation",
    amount: sum([(await state?.measure()) ?? sum([]), await each(measure)]),
    remove: async () => {
      const removed = (await state?.remove()) ?? sum([]);
      if (state !== undefined) await removeIfEmpty(state.folder);
      return await ended(folder, sum([removed, await each(remove)]));
    },
  };
}

/** Removes the folder of a removed run where nothing else is in it. */
async function ended(folder: string, { files, bytes, links }: Amount): Promise<RemovedRun> {
  const left = await removeIfEmpty(folder);
  return { removed: resolve(folder), files, bytes, left, links: links.map(([path, target]) => ({ path, target })) };
}

const amountText = (amount: Pick<Amount, "files" | "bytes">): string =>
  `${counted(amount.files, "file")}, ${bytes(amount.bytes)}`;

/** @param run as the user named it */
export const removalQuestion = (run: string, { kind, amount }: RunRemoval): string =>
  oneLine(`remove ${run} (${kind}, ${amountText(amount)})?`);

/** What was removed, for people. @param run as the user named it */
export function removedText(run: string, { files, bytes, left, links }: RemovedRun): string {
  return [
    `removed ${run}: ${amountText({ files, bytes })}`,
    ...links.map(({ path, target }) => `${path} was a link; what it leads to is left: ${target}`),
    ...(left.length === 0 ? [] : [`left in the folder, not of the run: ${left.join(", ")}`]),
  ]
    .map(oneLine)
    .join("\n");
}
