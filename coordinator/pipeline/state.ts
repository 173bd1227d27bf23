/** Where a run's state is: the folder of a simulation, or that of a coordinator. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { KindredError } from "../../shared/base/errors.js";

/** @throws {KindredError} `not_found` where neither is there */
export function stateFolder(run: string): string {
  const state = [join(run, "state"), run].find((folder) => existsSync(join(folder, "state.db")));
  if (state !== undefined) return state;
  throw new KindredError(
    "not_found",
    `${run}: is no run (no state.db there or in state/); give the folder of kindred simulate --out or kindred coordinator --state`,
  );
}
