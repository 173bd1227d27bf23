/**
 * Where the head is tied to the embedding by the configuration and the files say otherwise, the logits are transformers'. The fixtures'
 * values serve: transformers 5.23 gives them for each of these changed models too (differences below 1e-5).
 */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { openBaseModel } from "../../../client/models/base.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { smallestLayout } from "../../../client/tuning/kinds.js";
import { readIntTensor, readSafetensorsHeader, readTensor } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";
import { changedModel, type ModelChange } from "../../support/changed-model.js";
import { allLogits } from "../../support/logits.js";

const runtime = new OnnxRuntime({ threads: 1 });
const root = mkdtempSync(join(tmpdir(), "kindred-tied-"));
after(async () => {
  await runtime.close();
  rmSync(root, { recursive: true });
});
const fixture = (name: string): string => asset("test", "fixtures", ...name.split("/"));

/** The largest difference between a changed model's logits and those that transformers computed for the model as it was. */
async function difference(name: string, label: string, change: ModelChange): Promise<number> {
  const folder = await changedModel(join(root, `${name.replace("/", "-")}-${label}`), change, fixture(name));
  const base = await openBaseModel(folder);
  const file = await readSafetensorsHeader(join(fixture(name), "expected.safetensors"));
  const shape = file.tensors.get("tokens")!.shape as [number, number];
  const tokens = { shape, data: await readIntTensor(file, "tokens") };
  const expected = await readTensor(file, "logits");
  const layout = smallestLayout(base.architecture);
  const logits = await allLogits(new CompiledGraphs(runtime, base), layout, undefined, tokens, new Meter());
  assert.equal(logits.length, expected.length);
  return logits.reduce<number>((most, value, at) => Math.max(most, Math.abs(value - expected[at]!)), 0);
}

/** Model, embedding, head. */
const TIED = [
  ["llama/tied", "model.embed_tokens.weight", "lm_head.weight"],
  ["families/qwen2", "model.embed_tokens.weight", "lm_head.weight"],
  ["families/gpt2", "wte.weight", "lm_head.weight"],
  ["families/neox-sequential", "gpt_neox.embed_in.weight", "embed_out.weight"],
] as const;

for (const [name, embedding, head] of TIED) {
  test(`${name}: a head stored alone serves as the embedding, and an equal second copy changes nothing`, async () => {
    const alone: ModelChange = {
      tensors: (tensors) => {
        tensors.set(head, tensors.get(embedding)!);
        tensors.delete(embedding);
      },
    };
    const twice: ModelChange = { tensors: (tensors) => tensors.set(head, tensors.get(embedding)!) };
    assert.ok((await difference(name, "alone", alone)) < 1e-4);
    assert.ok((await difference(name, "twice", twice)) < 1e-4);
  });
}

const TIED_BY_MISTAKE = { config: { tie_word_embeddings: true } };
for (const name of ["gpt2-variant", "pythia", "qwen2-window", "gptj", "mistral-full"]) {
  test(`${name}: a head of its own is used, though the configuration ties it`, async () => {
    assert.ok((await difference(`families/${name}`, "apart", TIED_BY_MISTAKE)) < 1e-4);
  });
}

test("a GPT-NeoX's head by its newer name is the head, also where the configuration ties it", async () => {
  const renamed: ModelChange = {
    tensors: (tensors) => {
      tensors.set("lm_head.weight", tensors.get("embed_out.weight")!);
      tensors.delete("embed_out.weight");
    },
  };
  assert.ok((await difference("families/pythia", "renamed", renamed)) < 1e-4);
  assert.ok((await difference("families/pythia", "renamed-tied", { ...TIED_BY_MISTAKE, ...renamed })) < 1e-4);
});

test("positive control: the embedding in place of a head of its own gives other logits", async () => {
  const swapped: ModelChange = {
    tensors: (tensors) => tensors.set("lm_head.weight", tensors.get("model.embed_tokens.weight")!),
  };
  assert.ok((await difference("families/mistral-full", "swapped", swapped)) > 0.1);
});

test("a model with neither embedding nor head is refused by name", async () => {
  const folder = await changedModel(join(root, "neither"), {
    tensors: (tensors) => tensors.delete("model.embed_tokens.weight"),
  });
  await assert.rejects(openBaseModel(folder), {
    code: "invalid_model",
    message: /the weights lack the tensor model\.embed_tokens\.weight$/,
  });
});
