/**
 * The losses and answers of single test rows, which a simulation keeps beside each client's state: the report's intervals, its paired
 * gains and its examples are made of them. A deployed client keeps and sends only their sums.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { TestRows } from "../client/tasks/work.js";
import type { RunOutcome } from "../coordinator/open-run.js";
import { writeAtomically } from "../shared/base/atomic.js";
import { KindredError } from "../shared/base/errors.js";
import type { Population } from "./population/load.js";
import { type ScoredTestRows, scoredTestRows } from "./report/measured.js";

/** Adapters and all weights are scored by tasks of their own. */
type Kind = "adapters" | "full";

const fileOf = (folder: string, kind: Kind): string => join(folder, `test-rows-${kind}.json`);

/** Keeps what one task of a client scored. @param folder of the client's state */
export const keepTestRows =
  (folder: string) =>
  (adapter: { readonly kind: string }, rows: TestRows): Promise<void> =>
    writeAtomically(fileOf(folder, adapter.kind === "full" ? "full" : "adapters"), JSON.stringify(rows));

/**
 * What `keepTestRows` kept; undefined where there is nothing: in the state of a run that an earlier version began.
 * @throws {KindredError} `invalid_data` naming a file that is damaged
 */
async function readTestRows(folder: string, kind: Kind): Promise<TestRows | undefined> {
  const file = fileOf(folder, kind);
  const text = await readFile(file, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text) as TestRows;
  } catch (cause) {
    const facts = { file };
    throw new KindredError("invalid_data", `${file}: is damaged; start the run again with --force`, facts, cause);
  }
}

/** Test rows of the clients that the run served. @param folder with the state of each client, named by its place in the population */
export async function keptRows(
  folder: string,
  population: Population,
  { clients, methods }: RunOutcome,
): Promise<ScoredTestRows[]> {
  const served = new Set(clients);
  const found = await Promise.all(
    population.clients.map(async ({ name, test }, at) => {
      if (!served.has(name)) return undefined;
      const own = join(folder, String(at));
      const [adapters, full] = await Promise.all([readTestRows(own, "adapters"), readTestRows(own, "full")]);
      return scoredTestRows(name, test, { adapters, full }, methods);
    }),
  );
  return found.filter((one) => one !== undefined);
}
