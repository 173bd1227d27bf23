/** Opens the state of a run that a user names: a simulation's folder, a coordinator's folder, or the URL of a state. */

import { readState } from "../../coordinator/storage/open.js";
import type { StateReader } from "../../coordinator/storage/types.js";
import { KindredError } from "../../shared/base/errors.js";

/** A run that was found. */
export interface FoundRun {
  /** The folder or URL of its state. */
  readonly place: string;
  readonly state: StateReader;
}

/**
 * Reads beside a coordinator that is at work, and changes nothing.
 * @throws {KindredError} `not_found` where there is no state; as `readState`
 */
export async function findRun(run: string): Promise<FoundRun> {
  // A simulation keeps its state in a folder of its run.
  for (const place of [`${run.replace(/[\\/]+$/, "")}/state`, run]) {
    try {
      return { place, state: await readState(place) };
    } catch (error) {
      if (!(error instanceof KindredError && error.code === "not_found")) throw error;
    }
  }
  throw noRun(run);
}

/** The state of a run. @throws {KindredError} as `findRun` */
export const readRun = async (run: string): Promise<StateReader> => (await findRun(run)).state;

export const noRun = (run: string): KindredError =>
  new KindredError(
    "not_found",
    `${run}: is no run; expected a state there or in state/, got none; give the folder of kindred simulate --out or kindred coordinator --state`,
    { run },
  );
