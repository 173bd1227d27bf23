/** Commands that read a run, beside its coordinator. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, test } from "node:test";
import { PUBLISHED, type Published } from "../../../coordinator/ensemble/published.js";
import { ESTIMATE, type StoredEstimate } from "../../../coordinator/methods/kindred/estimate.js";
import type { Explanation } from "../../../coordinator/stages/explain.js";
import { openState } from "../../../coordinator/storage/open.js";
import type { State } from "../../../coordinator/storage/types.js";
import { readPeftAdapter } from "../../../shared/adapters/peft.js";
import { encodeSafetensors } from "../../../shared/adapters/safetensors.js";
import { encodeSketches } from "../../../shared/sketch/codec.js";
import { plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";
import { Commands } from "../../support/commands.js";
import { temporaryFolder } from "../../support/federation.js";
import { coordinatorAt, listing } from "../../support/state-holder.js";

const commands = new Commands();
after(() => commands.close());
const kindred = (...words: string[]) => commands.run([...words, "--json"]);
/** The result of a command that succeeds. */
const result = async (...words: string[]): Promise<unknown> => {
  const { code, stdout, stderr } = await kindred(...words);
  assert.equal(code, 0, stderr);
  return JSON.parse(stdout);
};

const MODULE = "model.layers.0.self_attn.q_proj";
const TENSORS = new Map([
  [`${MODULE}.lora_A.weight`, { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) }],
  [`${MODULE}.lora_B.weight`, { shape: [3, 2], data: Float32Array.of(6, 5, 4, 3, 2, 1) }],
]);

/** A run as far as the commands read it: an estimate of planted sketches, and one published adapter. */
async function writeRun(state: State): Promise<void> {
  const { sketches, labels } = plantedSketches({ clients: 6, groups: 2, train: 20, validation: 30, dim: 8 });
  const clients = sketches.map(({ client }) => client);
  const settings = { balance: "none", lambda: 1, projections: 1 } as const;
  const estimate = {
    clients,
    affinity: clients.map((_, i) => clients.map((_, j) => (labels[i] === labels[j] ? -1 : -2))),
    partition: [0, 1].map((group) => clients.flatMap((_, i) => (labels[i] === group ? [i] : []))),
    reason: "planted",
    rejected: [],
    evidence: {
      ...settings,
      sketches: await Promise.all(
        sketches.map(async (sketch) => ({
          client: sketch.client,
          trainExamples: sketch.trainExamples,
          rows: await state.blobs.put(encodeSketches(sketch)),
        })),
      ),
      dim: 8,
      seed: 0,
      constraints: { together: [], apart: [] },
      errors: null,
    },
  } as unknown as StoredEstimate;
  const published: Published = {
    model: "base",
    adapter: { kind: "lora", rank: 2, alpha: 4, modules: ["q_proj"], dropout: 0, freezeA: false, rslora: false },
    members: [{ name: "group-0", values: await state.blobs.put(encodeSafetensors(TENSORS)) }],
    weights: clients.map((client) => [client, [1]]),
  };
  await state.records.saveMemo(ESTIMATE, JSON.stringify({ value: estimate }));
  await state.records.saveMemo(PUBLISHED, JSON.stringify({ value: published }));
}

test("a run is exported and explained while its coordinator is at work, and its folder stays as it is", async (t) => {
  const folder = temporaryFolder();
  t.after(() => folder.remove());
  const run = join(folder.path, "run");
  const state = await openState(join(run, "state"));
  await writeRun(state);
  await state.close();
  const coordinator = await coordinatorAt(join(run, "state"), t);
  await coordinator.write("at work");
  const before = listing(run);

  const out = join(folder.path, "out");
  assert.deepEqual(await result("export", run, "--out", out), { members: ["group-0"], tokenizer: false });
  assert.deepEqual((await readPeftAdapter(join(out, "members", "group-0"))).tensors, TENSORS);
  const explanation = (await result("affinity", "explain", join(run, "state"), "client-0")) as Explanation;
  assert.deepEqual(explanation.members, ["client-0", "client-2", "client-4"]);

  assert.deepEqual(listing(run), before);
  // The lease is still the coordinator's, and it goes on.
  await assert.rejects(openState(join(run, "state")), /in use by another process/);
  await coordinator.write("still at work");
});

test("a folder without a run is named, with what to give", async () => {
  const folder = temporaryFolder();
  const { code, stderr } = await kindred("export", folder.path, "--out", join(folder.path, "out"));
  assert.equal(code, 2);
  assert.match(stderr, /is no run; expected a state there or in state\/, got none; give the folder/);
  folder.remove();
});
