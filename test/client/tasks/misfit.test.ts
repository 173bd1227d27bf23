/** Adapters of other models are refused by the folder, the module and the base that they name. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { readArchitecture } from "../../../client/models/families.js";
import { openAdapter } from "../../../client/tasks/inputs.js";
import { readPeftAdapter, writePeftAdapter } from "../../../shared/adapters/peft.js";
import { asset } from "../../../shared/base/assets.js";
import { openModelFolder } from "../../../shared/models/files.js";
import { TINY_MODEL } from "../../support/tiny.js";

const root = mkdtempSync(join(tmpdir(), "kindred-misfit-"));
after(() => rmSync(root, { recursive: true }));

for (const [label, from, to] of [
  ["a layer that the model does not have", "model.layers.0.", "model.layers.9."],
  ["names of the model without its head", "model.layers.", "layers."],
  ["a linear of another family", "q_proj", "c_attn"],
] as const) {
  test(`${label} is refused`, async () => {
    const { config } = await openModelFolder(TINY_MODEL);
    const read = await readPeftAdapter(asset("test", "fixtures", "peft", "adapters", "qv"));
    const tensors = new Map(Array.from(read.tensors, ([name, tensor]) => [name.replace(from, to), tensor] as const));
    const folder = join(root, label);
    await writePeftAdapter(folder, { ...read, tensors, targetModules: "all-linear" }, { baseModel: "other" });
    await assert.rejects(openAdapter(readArchitecture(config), folder), (error: Error & { code?: string }) => {
      assert.equal(error.code, "invalid_adapter");
      assert.ok(error.message.startsWith(`${folder}: adapts ${to.startsWith("model") ? to : ""}`), error.message);
      assert.match(error.message, /which this model does not have .*adapter_config\.json names other/);
      return true;
    });
  });
}
