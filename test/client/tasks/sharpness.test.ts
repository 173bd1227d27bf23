/** `kindred sharpness` on the fixture's adapter: its loss is what `kindred evaluate` says, and a seed gives one result. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { evaluateFile } from "../../../client/tasks/evaluate.js";
import { sharpness } from "../../../client/tasks/sharpness.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { DEFAULT_RUNTIME } from "../../../shared/runtimes/types.js";
import { TINY_MODEL } from "../../support/tiny.js";

test("it judges the loss that evaluate reports, and the same seed gives the same numbers", async () => {
  const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
  const files = {
    model: TINY_MODEL,
    quantization: "none",
    adapter: asset("test", "fixtures", "peft", "adapters", "all"),
    data: asset("test", "fixtures", "evaluate", "rows-completion.jsonl"),
    maxTokens: 64,
    endOfText: "auto",
    format: {},
    runtime: DEFAULT_RUNTIME,
  } as const;
  const { loss } = await evaluateFile(files, context);
  const job = { ...files, probes: 2, seed: 4 };
  const found = await sharpness(job, context);
  assert.ok(Math.abs(found.loss / loss - 1) < 1e-4, `${found.loss}, evaluate says ${loss}`);
  assert.ok(found.largest.eigenvalue > 0 && found.trace.standardError > 0);
  assert.deepEqual(await sharpness(job, context), found);
});
