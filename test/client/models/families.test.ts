/** Families refuse wrong configurations by file, field and value, before anything is allocated for them. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { readArchitecture } from "../../../client/models/families.js";
import type { TokenPositions } from "../../../client/models/positions.js";
import { asset } from "../../../shared/base/assets.js";

const fixtures = asset("test", "fixtures", "families");

type Json = Record<string, unknown>;

const REFUSED: readonly (readonly [model: string, change: Json, code: string, says: RegExp])[] = [
  ["gpt2", { model_type: "gpt_bigcode" }, "unsupported", /model_type "gpt_bigcode" .*gpt2.*llama.*qwen2/],
  ["gpt2", { model_type: "constructor" }, "unsupported", /model_type "constructor"/],
  ["gpt2", { model_type: undefined }, "unsupported", /model_type/],
  ["gpt2", { n_layer: 1e7 }, "invalid_model", /n_layer is 10000000; expected an integer from 1 to 1000/],
  ["gpt2", { n_embd: 25 }, "invalid_model", /n_embd is 25; expected a multiple of n_head \(3\)/],
  ["gpt2", { vocab_size: "96" }, "invalid_model", /vocab_size is "96"/],
  ["gpt2", { add_cross_attention: true }, "unsupported", /add_cross_attention true/],
  ["gpt2", { activation_function: "quick_gelu" }, "unsupported", /activation_function "quick_gelu" .*gelu_new/],
  ["gpt2", { activation_function: "toString" }, "unsupported", /activation_function "toString"/],
  ["gpt2", { layer_norm_epsilon: 0 }, "invalid_model", /layer_norm_epsilon is 0/],
  ["gptj", { rotary_dim: null }, "invalid_model", /rotary_dim is null/],
  ["gptj", { rotary_dim: 10 }, "invalid_model", /rotary_dim is 10; expected even, from 2 to the 8/],
  ["gptj", { rotary_dim: 3 }, "invalid_model", /rotary_dim is 3/],
  ["pythia", { rotary_pct: 0.1 }, "invalid_model", /rotary_pct is 0.1; .*8 dimensions/],
  ["pythia", { rotary_emb_base: -1 }, "invalid_model", /rotary_emb_base is -1/],
  ["pythia", { use_parallel_residual: "yes" }, "invalid_model", /use_parallel_residual is "yes"/],
  ["pythia", { rope_theta: 100 }, "invalid_model", /rope_theta is 100; expected .* rotary_emb_base/],
  ["pythia", { partial_rotary_factor: 0.5 }, "invalid_model", /partial_rotary_factor is 0\.5; expected .* rotary_pct/],
  ["mistral-window", { sliding_window: 0 }, "invalid_model", /sliding_window is 0/],
  ["mistral-window", { layer_types: ["full_attention"] }, "unsupported", /layer_types \["full_attention"\]/],
  ["mistral-window", { num_key_value_heads: 3 }, "invalid_model", /num_key_value_heads is 3; expected a divisor of/],
  ["mistral-window", { head_dim: 7 }, "invalid_model", /head_dim is 7; expected even/],
  ["qwen2", { rope_scaling: { type: "yarn", factor: 4 } }, "unsupported", /rope scaling "yarn"/],
  ["qwen2", { rope_scaling: { type: "linear", factor: "4" } }, "invalid_model", /rope scaling's factor is "4"/],
  ["qwen2", { rope_scaling: 4 }, "invalid_model", /rope_scaling is 4; expected an object/],
  [
    "qwen2",
    { rope_parameters: { full_attention: { rope_theta: 1 } } },
    "unsupported",
    /rope_parameters.full_attention/,
  ],
  ["qwen2", { partial_rotary_factor: 0.5 }, "unsupported", /partial_rotary_factor 0.5/],
  ["qwen2-layer-types", { layer_types: ["full_attention"] }, "invalid_model", /layer_types is \["full_attention"\]/],
  ["qwen2-layer-types", { layer_types: ["full_attention", "none"] }, "invalid_model", /layer_types is /],
];

for (const [model, change, code, says] of REFUSED) {
  test(`a ${model} with ${JSON.stringify(change)} is refused`, async () => {
    const path = join(fixtures, model, "config.json");
    const json = { ...(JSON.parse(await readFile(path, "utf8")) as Json), ...change };
    assert.throws(
      () => readArchitecture(json, path),
      (error: Error & { code?: string }) => {
        assert.equal(error.code, code, error.message);
        assert.ok(error.message.startsWith(path), error.message);
        assert.match(error.message, says);
        return true;
      },
    );
  });
}

test("of two fields with a rotary embedding, rope_scaling counts, as in transformers", async () => {
  const json = JSON.parse(await readFile(join(fixtures, "qwen2", "config.json"), "utf8")) as Json;
  const cosines = (change: Json): number[] => {
    const { positionTables } = readArchitecture(
      { ...json, rope_theta: 100, rope_parameters: undefined, ...change },
      "",
    );
    const table = positionTables.find(({ name }) => name === "cos")!;
    return [...table.values({ position: Int32Array.of(0, 1, 5) } as TokenPositions)];
  };
  const scaled = { rope_scaling: { rope_type: "linear", factor: 4 } };
  const parameters = { rope_parameters: { rope_type: "default", rope_theta: 500 } };
  assert.deepEqual(cosines({ ...scaled, ...parameters }), cosines(scaled));
  assert.deepEqual(cosines({ rope_scaling: {}, ...parameters }), cosines({ rope_theta: 500 }));
  assert.notDeepEqual(cosines(scaled), cosines({ rope_theta: 500 }));
});

test("a mask is made only where a layer uses it", async () => {
  const masks = async (model: string, change: Json = {}): Promise<string[]> => {
    const json = JSON.parse(await readFile(join(fixtures, model, "config.json"), "utf8")) as Json;
    const { positionTables } = readArchitecture({ ...json, ...change });
    return positionTables.map(({ name }) => name).filter((name) => name !== "cos" && name !== "sin");
  };
  assert.deepEqual(await masks("mistral-window"), ["window"]);
  // An absent field means a window of 4,096 tokens, null means that there is no window.
  assert.deepEqual(await masks("mistral-window", { sliding_window: undefined }), ["window"]);
  assert.deepEqual(await masks("mistral-full"), ["mask"]);
  assert.deepEqual(await masks("qwen2"), ["mask"]);
  assert.deepEqual(await masks("qwen2-window"), ["mask", "window"]);
  assert.deepEqual(await masks("qwen2-window", { max_window_layers: 0 }), ["window"]);
});
