import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { encodeSafetensors, parseSafetensors } from "../../shared/adapters/safetensors.js";
import { SeededRng } from "../../shared/base/random.js";
import type { Report } from "../../simulations/report/types.js";
import { temporaryFolder } from "../support/federation.js";
import { kindred } from "../support/processes.js";
import { TINY_MODEL, tinyClients, writeTinyRun } from "../support/tiny.js";

/** Makes the tiny model's feed-forward layers so wide that a copy of it shows in a process's memory. */
const FEED_FORWARD = 16_384;

function wideModel(folder: string): { readonly path: string; readonly bytes: number } {
  const path = join(folder, "wide");
  mkdirSync(path);
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) cpSync(join(TINY_MODEL, file), join(path, file));
  const config = JSON.parse(readFileSync(join(TINY_MODEL, "config.json"), "utf8"));
  writeFileSync(join(path, "config.json"), JSON.stringify({ ...config, intermediate_size: FEED_FORWARD }));
  const { tensors } = parseSafetensors(readFileSync(join(TINY_MODEL, "model.safetensors")));
  const rng = new SeededRng(1, "wide");
  const wide = new Map(
    [...tensors].map(([name, tensor]) => {
      if (!name.includes(".mlp.")) return [name, tensor] as const;
      const shape = tensor.shape.map((size) => (size === config.intermediate_size ? FEED_FORWARD : size));
      const data = Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => 0.02 * (rng.uniform() - 0.5));
      return [name, { shape, data }] as const;
    }),
  );
  const bytes = encodeSafetensors(wide);
  writeFileSync(join(path, "model.safetensors"), bytes);
  return { path, bytes: bytes.length };
}

describe("a simulation's memory", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());

  it("holds one base model for all clients: a hundred of them need little more than ten", async (t) => {
    const model = wideModel(folder.path);
    const peak = async (clients: number): Promise<number> => {
      const population = tinyClients({ clients, train: 4, validation: 2, test: 1 });
      const config = writeTinyRun(join(folder.path, `input-${clients}`), population, {
        model: model.path,
        compare: [],
        training: { epochs: 1, batch: 4, learningRate: 0.03 },
        estimation: { dim: 32, subsetSize: 8 },
        groups: 2,
        boosting: { rounds: 0 },
      });
      const out = join(folder.path, `out-${clients}`);
      const { code, stderr } = await kindred(["simulate", config, "--out", out, "--quiet"]);
      assert.equal(code, 0, stderr);
      const report = JSON.parse(readFileSync(join(out, "report.json"), "utf8")) as Report;
      assert.equal(report.clients.length, clients);
      assert.deepEqual(report.faults, []);
      return report.peakRssBytes;
    };
    const [ten, hundred] = [await peak(10), await peak(100)];
    const copies = (hundred - ten) / model.bytes;
    const mib = (bytes: number): string => `${Math.round(bytes / 2 ** 20)} MiB`;
    t.diagnostic(
      `model ${mib(model.bytes)}; peak ${mib(ten)} with 10 clients, ${mib(hundred)} with 100: ${copies.toFixed(1)} models for 90 clients more`,
    );
    // A copy a client would be 90. What 90 clients do need (connections, rows, results) is a few MiB each at most.
    assert.ok(copies < 30, `90 clients more took ${copies} times the model's bytes`);
  });
});
