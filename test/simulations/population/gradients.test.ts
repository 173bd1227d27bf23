import assert from "node:assert/strict";
import { readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { loadSimulationConfig } from "../../../shared/config/config.js";
import { readSketches, readSketchIndex, sketchFileName, sketchMetadata } from "../../../shared/sketch/folder.js";
import { ROW_TERMS } from "../../../shared/sketch/types.js";
import { sketchPopulation } from "../../../simulations/population/gradients.js";
import { temporaryFolder } from "../../support/federation.js";
import { jsonLines, tinyClients, writeTinyRun } from "../../support/tiny.js";

const folder = temporaryFolder();
after(() => folder.remove());
const clients = tinyClients({ clients: 3, train: 6, validation: 3, test: 1 });
const out = join(folder.path, "sketches");
const file = (at: number): string => join(out, sketchFileName(at));

async function sketch(options: object = {}, force = false) {
  const plan = await loadSimulationConfig(writeTinyRun(folder.path, clients, { estimation: { dim: 8 }, ...options }));
  const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
  return await sketchPopulation(plan, { out, force }, context);
}

test("sketches are kept where they fit, and made again where a file is damaged or a client's rows changed", async () => {
  const first = await sketch();
  assert.deepEqual([first.clients, first.kept, first.dim], [["c0", "c1", "c2"], 0, 8]);
  assert.ok(first.flops > 0);
  const index = await readSketchIndex(out);
  const sketches = await readSketches(out, index);
  assert.deepEqual(
    sketches.map(({ trainExamples }) => trainExamples),
    [6, 6, 6],
  );
  // Choices that differ: two rows per example.
  assert.ok(sketches.every(({ train }) => train.examples === 6 && train.margin.length === 12 && train.dim === 8));
  const metadata = await sketchMetadata(file(1));
  assert.equal(metadata?.get("client"), "c1");
  assert.deepEqual(JSON.parse(metadata?.get("sketching") ?? ""), index.sketching);

  const whole = readFileSync(file(0));
  const times = [1, 2].map((at) => statSync(file(at)).mtimeMs);
  truncateSync(file(0), 700);
  assert.equal((await sketch()).kept, 2);
  assert.deepEqual(readFileSync(file(0)), whole);
  assert.deepEqual(
    [1, 2].map((at) => statSync(file(at)).mtimeMs),
    times,
  );

  const changed = clients.map((client, at) => (at === 1 ? { ...client, train: client.train.slice(1) } : client));
  const plan = await loadSimulationConfig(join(folder.path, "run.yaml"));
  writeFileSync(join(folder.path, "population.jsonl"), jsonLines(changed));
  const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
  assert.equal((await sketchPopulation(plan, { out, force: false }, context)).kept, 2);
  assert.deepEqual(
    (await readSketchIndex(out)).clients.map(({ trainExamples }) => trainExamples),
    [6, 5, 6],
  );
});

test("labels are those of validation rows alone, and several projections are one sketch, where a configuration asks for them", async () => {
  const asked = { estimation: { dim: 8, projections: 2, labels: true } };
  assert.equal((await sketch(asked, true)).dim, 16);
  const index = await readSketchIndex(out);
  assert.deepEqual([index.dim, index.projections, index.sketching.dim], [16, 2, 8]);
  for (const { client, train, validation } of await readSketches(out, index)) {
    assert.equal(train.labels, undefined);
    const own = clients.find((one) => one.client === client)!.validation.map(({ completion }) => completion);
    const { answer, negative } = validation.labels!;
    // Two rows are of one class where they have one completion.
    for (const [a, first] of own.entries())
      for (const [b, second] of own.entries()) assert.equal(answer[a] === answer[b], first === second);
    assert.deepEqual(
      [...negative],
      Array.from(validation.example, (e, r) => (validation.term[r] === ROW_TERMS.choice ? 1 - answer[e]! : -1)),
    );
  }
});

test("a folder of another configuration is refused, unless it may be replaced", async () => {
  await assert.rejects(
    sketch({ seed: 9 }),
    /holds sketches of another configuration; choose another --out, or add --force/,
  );
  assert.equal((await sketch({ seed: 9 }, true)).kept, 0);
  assert.equal((await readSketchIndex(out)).sketching.seed, 9);
});
