/**
 * The job of `kindred export`: writes a run's adapters as folders of PEFT or AdapterHub, and the ensemble's weights. It reads the state
 * beside a coordinator at work and changes nothing in it.
 */
import { readdir } from "node:fs/promises";
import { PUBLISHED, type Published } from "../../coordinator/ensemble/published.js";
import { writeEnsemble } from "../../shared/adapters/ensemble-folder.js";
import { parseSafetensors } from "../../shared/adapters/safetensors.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import { readRun } from "./read-run.js";

export interface ExportJob {
  /** A simulation's folder, or a coordinator's state. */
  readonly run: string;
  readonly out: string;
  readonly force: boolean;
}

/** @throws {KindredError} `not_found` where there is no run or an unfinished one, `already_exists` where `out` has files */
export async function exportRun(
  { run, out, force }: ExportJob,
  { log }: Pick<JobContext, "log">,
): Promise<{ members: string[] }> {
  const there = await readdir(out).catch(() => []);
  if (there.length > 0 && !force) {
    throw new KindredError("already_exists", `${out}: is not empty; choose another folder or add --force`, { out });
  }
  const state = await readRun(run);
  try {
    const memo = await state.records.memo(PUBLISHED);
    if (memo === undefined) {
      throw new KindredError("not_found", `${run}: the run has not published its adapters yet; let it finish first`);
    }
    const { adapter, members, weights, model } = (JSON.parse(memo) as { value: Published }).value;
    const names = await writeEnsemble(out, {
      baseModel: model,
      adapter,
      weights,
      members: (async function* () {
        for (const { name, values } of members) {
          const bytes = await state.blobs.get(values);
          yield { name, tensors: parseSafetensors(bytes, { code: "invalid_adapter", source: name }).tensors };
          log.info("member written", { name });
        }
      })(),
    });
    return { members: names };
  } finally {
    await state.close();
  }
}
