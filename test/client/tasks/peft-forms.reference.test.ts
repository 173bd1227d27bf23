/**
 * Every way in which a PEFT configuration says what is adapted, with which rank and alpha, against PEFT's own logits. Fixtures:
 * test/fixtures/make_peft_forms.py.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openBaseModel } from "../../../client/models/base.js";
import { peftAdapter } from "../../../client/tasks/inputs.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { readPeftAdapter, writePeftAdapter } from "../../../shared/adapters/peft.js";
import { readIntTensor, readSafetensorsHeader, readTensor } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { allLogits } from "../../support/logits.js";

const fixtures = asset("test", "fixtures", "peft-forms");
const runtime = new OnnxRuntime();
after(() => runtime.close());

const forms = readdirSync(fixtures, { withFileTypes: true }).filter((entry) => entry.isDirectory());
for (const { name: form } of forms) {
  test(`an adapter saved by PEFT with ${form} gives PEFT's logits, and so does what is written of it`, async () => {
    const base = form.startsWith("gpt2") ? ["families", "gpt2"] : ["llama", "tied"];
    const model = await openBaseModel(asset("test", "fixtures", ...base));
    const compiledGraphs = new CompiledGraphs(runtime, model);
    const file = await readSafetensorsHeader(join(fixtures, "expected.safetensors"));
    const shape = file.tensors.get(`${form}.tokens`)!.shape as [number, number];
    const tokens = { shape, data: await readIntTensor(file, `${form}.tokens`) };
    const expected = await readTensor(file, `${form}.logits`);
    const largest = Math.max(...expected.map(Math.abs));
    const check = async (folder: string): Promise<void> => {
      const { layout, values } = await peftAdapter(model.architecture, folder);
      const logits = await allLogits(compiledGraphs, layout, values, tokens, new Meter());
      const off = Math.max(...expected.map((value, i) => Math.abs(logits[i]! - value))) / largest;
      assert.ok(off <= 1e-4, `off by ${off} of the largest`);
    };
    await check(join(fixtures, form));
    const folder = await mkdtemp(join(tmpdir(), "kindred-forms-"));
    try {
      await writePeftAdapter(folder, await readPeftAdapter(join(fixtures, form)), { baseModel: null });
      await check(folder);
    } finally {
      await rm(folder, { recursive: true });
    }
    await compiledGraphs.close();
  });
}
