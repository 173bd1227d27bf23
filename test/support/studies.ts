/** Studies run quietly, in a folder of their own. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { silentLog } from "../../shared/base/log.js";
import { silentProgress } from "../../shared/base/progress.js";
import type { Findings, Study } from "../../simulations/scenarios/harness/study.js";

/** Removed when the test ends. */
export async function studyFolder(t: TestContext): Promise<string> {
  const out = await mkdtemp(join(tmpdir(), "kindred-study-"));
  t.after(() => rm(out, { recursive: true, force: true }));
  return out;
}

export const runStudy = (study: Study, out: string): Promise<Findings> =>
  study.run(
    { out, force: false, seed: 0, seeds: 1, model: undefined },
    { log: silentLog, progress: silentProgress, signal: new AbortController().signal },
  );
