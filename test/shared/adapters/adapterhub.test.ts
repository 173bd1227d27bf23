/** Folders of AdapterHub's library: accepted and refused settings. The library's own folders are in test/fixtures/adapterhub. */
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import fc from "fast-check";
import {
  hasAdapterHubLayout,
  readBottleneckAdapter,
  writeBottleneckAdapter,
} from "../../../shared/adapters/adapterhub.js";
import { bottleneckError } from "../../../shared/adapters/bottleneck.js";
import { writeSafetensors } from "../../../shared/adapters/safetensors.js";
import { asset } from "../../../shared/base/assets.js";
import { KindredError } from "../../../shared/base/errors.js";

const HOULSBY = asset("test", "fixtures", "adapterhub", "llama-houlsby");
const PFEIFFER = asset("test", "fixtures", "adapterhub", "llama-pfeiffer");
const CONFIG = "adapter_config.json";
const WEIGHTS = "adapter.safetensors";

const root = await mkdtemp(join(tmpdir(), "kindred-adapterhub-"));
after(() => rm(root, { recursive: true, force: true }));
let made = 0;

/** A copy of the library's folder with other settings; undefined leaves one out. */
async function changed(settings: object, top: object = {}): Promise<string> {
  const path = join(root, `${made++}`);
  await cp(HOULSBY, path, { recursive: true });
  const config = JSON.parse(await readFile(join(path, CONFIG), "utf8"));
  const file = { ...config, ...top, config: { ...config.config, ...settings } };
  await writeFile(join(path, CONFIG), JSON.stringify("config" in top ? { ...file, ...top } : file));
  return path;
}

test("the configuration tells the layouts of PEFT and AdapterHub apart", async () => {
  assert.equal(await hasAdapterHubLayout(HOULSBY), true);
  assert.equal(await hasAdapterHubLayout(asset("test", "fixtures", "peft", "adapters", "all")), false);
  assert.equal(await hasAdapterHubLayout(join(root, "nowhere")), false);
});

test("kind, reduction and activation are read, and settings of the initialisation are ignored", async () => {
  const { tensors, ...houlsby } = await readBottleneckAdapter(HOULSBY);
  const common = { dropout: 0, baseModel: "llama/tied" };
  assert.deepEqual(houlsby, { kind: "houlsby", reduction: 8, activation: "relu", ...common });
  assert.ok(tensors.has("model.layers.0.attention_adapters.adapter_down.0.weight"));
  const pfeiffer = await readBottleneckAdapter(PFEIFFER);
  assert.deepEqual([pfeiffer.kind, pfeiffer.reduction, pfeiffer.activation], ["pfeiffer", 5, "gelu"]);
  const other = { init_weights: "houlsby", init_weights_seed: 3, dropout: 0.1, scaling: undefined, later: null };
  assert.equal((await readBottleneckAdapter(await changed(other))).dropout, 0.1);
});

const refused: Readonly<Record<string, unknown>> = {
  architecture: "prefix_tuning",
  is_parallel: true,
  scaling: "learned",
  use_gating: true,
  ln_before: true,
  ln_after: true,
  original_ln_after: false,
  residual_before_ln: "post_add",
  inv_adapter: "nice",
  cross_adapter: true,
  leave_out: [1],
  phm_layer: true,
  stochastic_depth: 0.1,
  non_linearity: "leakyrelu",
  reduction_factor: { 0: 8, default: 16 },
  some_later_feature: true,
};
for (const [field, value] of Object.entries(refused)) {
  test(`${field} ${JSON.stringify(value)} is refused by name`, async () => {
    await assert.rejects(readBottleneckAdapter(await changed({ [field]: value })), (error: KindredError) => {
      assert.equal(error.code, "unsupported");
      assert.ok(error.message.includes(`${CONFIG}: config.${field} is ${JSON.stringify(value)}; `), error.message);
      return true;
    });
  });
}

test("sites of neither kind, an older version and a broken file are refused", async () => {
  await assert.rejects(readBottleneckAdapter(await changed({ output_adapter: false })), {
    code: "unsupported",
    message:
      /config has mh_adapter true, output_adapter false.*only Houlsby's \(.*\) and Pfeiffer's \(.*\) can be read/,
  });
  await assert.rejects(readBottleneckAdapter(await changed({}, { version: undefined })), /version is undefined/);
  await assert.rejects(readBottleneckAdapter(await changed({}, { name: 3 })), /name is 3; expected the adapter's name/);
  await assert.rejects(readBottleneckAdapter(await changed({}, { config: "houlsby" })), /config is "houlsby"/);
  await assert.rejects(readBottleneckAdapter(await changed({ dropout: 1 })), /config\.dropout must be from 0/);
});

test("the messages for a pickle, a head, a fusion and a missing file say what to do", async () => {
  const path = await changed({});
  await writeFile(join(path, "head_config.json"), "{}");
  await assert.rejects(readBottleneckAdapter(path), { code: "unsupported", message: /with_head=False/ });
  await rm(join(path, "head_config.json"));
  await rm(join(path, WEIGHTS));
  await assert.rejects(readBottleneckAdapter(path), /adapter\.safetensors: no such file/);
  await writeFile(join(path, "pytorch_adapter.bin"), "");
  await assert.rejects(readBottleneckAdapter(path), {
    code: "unsupported",
    message: /is a pickle.*use_safetensors=True/,
  });
  await rm(join(path, CONFIG));
  await writeFile(join(path, "adapter_fusion_config.json"), "{}");
  assert.equal(await hasAdapterHubLayout(path), true);
  await assert.rejects(readBottleneckAdapter(path), { code: "unsupported", message: /fusion is not supported/ });
});

test("tensors that contradict the configuration are refused: missing, of another adapter, of another shape, not finite", async () => {
  const { tensors, ...settings } = await readBottleneckAdapter(HOULSBY);
  const bias = "model.layers.1.output_adapters.adapter_up.bias";
  const cases = [
    [() => new Map(), /no tensor is the bias of an up projection/],
    [() => new Map([...tensors].filter(([name]) => name !== bias)), /the tensor model\.layers\.1.*up\.bias is missing/],
    [
      () => new Map([...tensors, ["model.norm.weight", { shape: [32], data: new Float32Array(32) }]]),
      /not (part of|belong to) the adapter/,
    ],
    [() => new Map([...tensors, [bias, { shape: [8, 4], data: new Float32Array(32) }]]), /has shape \[8, 4\]/],
    [
      () => new Map([...tensors, [bias, { shape: [32], data: new Float32Array(32).fill(Number.NaN) }]]),
      /holds NaN at 0/,
    ],
  ] as const;
  for (const [make, message] of cases) {
    const wrong = new Map(make()) as typeof tensors;
    await assert.rejects(
      writeBottleneckAdapter(join(root, "wrong"), { ...settings, tensors: wrong }, { name: "own", baseModel: null }),
      { code: "invalid_adapter", message },
    );
    const path = await changed({});
    const named = [...wrong].map(([name, tensor]) => [name.replace("_adapters.", "_adapters.adapters.own."), tensor]);
    await writeSafetensors(join(path, WEIGHTS), new Map(named as [string, { shape: number[]; data: Float32Array }][]));
    await assert.rejects(readBottleneckAdapter(path), { code: "invalid_adapter", message });
  }
  await assert.rejects(
    readBottleneckAdapter(await changed({ reduction_factor: 16 })),
    /has shape \[4, 32\]; expected \[2, 32\]/,
  );
});

test("a missing tensor and a wrong shape are errors, whichever tensor it is", async () => {
  const { tensors, ...settings } = await readBottleneckAdapter(HOULSBY);
  assert.equal(bottleneckError(tensors, settings), undefined);
  for (const name of tensors.keys()) {
    assert.ok(bottleneckError(new Map([...tensors].filter(([other]) => other !== name)), settings), `without ${name}`);
  }
  fc.assert(
    fc.property(fc.constantFrom(...tensors.keys()), fc.array(fc.nat(40), { maxLength: 3 }), (name, shape) => {
      fc.pre(JSON.stringify(shape) !== JSON.stringify(tensors.get(name)!.shape));
      const shapes = new Map<string, { readonly shape: readonly number[] }>(tensors).set(name, { shape });
      assert.ok(bottleneckError(shapes, settings));
    }),
  );
});

test("a file with changed bytes is read or refused; nothing else happens", async () => {
  const path = await changed({});
  const files = await Promise.all(
    [CONFIG, WEIGHTS].map(async (name) => [name, await readFile(join(path, name))] as const),
  );
  const change = fc.record({ file: fc.nat(1), at: fc.nat(3000), byte: fc.nat(255), cut: fc.boolean() });
  await fc.assert(
    fc.asyncProperty(change, async ({ file, at, byte, cut }) => {
      const [name, bytes] = files[file]!;
      const other = Buffer.from(cut ? bytes.subarray(0, at % bytes.length) : bytes);
      if (!cut) other[at % bytes.length] = byte;
      await writeFile(join(path, name), other);
      try {
        await readBottleneckAdapter(path);
      } catch (error) {
        assert.ok(error instanceof KindredError, String(error));
        assert.ok(["invalid_adapter", "unsupported"].includes(error.code), error.code);
      } finally {
        await writeFile(join(path, name), bytes);
      }
    }),
    { numRuns: 60 },
  );
});
