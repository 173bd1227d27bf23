/** The second and third stage on files of planted sketches; the three in a row are in test/system/stages.long.test.ts. */
import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { type EstimateFile, type EstimateJob, estimateFiles } from "../../../cli/jobs/estimate.js";
import { type GroupJob, type GroupsFile, groupFiles } from "../../../cli/jobs/group.js";
import { FILES, readMatrix, readSubsets, writeMatrix } from "../../../cli/jobs/stage-files.js";
import { binomial } from "../../../coordinator/estimation/sampler.js";
import { adjustedRandIndex } from "../../../coordinator/grouping/rand-index.js";
import { exitCodeOf, KindredError } from "../../../shared/base/errors.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { sketchFileName, writeSketchFile, writeSketchIndex } from "../../../shared/sketch/folder.js";
import { plantedSketches } from "../../../simulations/benchmarks/planted-sketches.js";
import { temporaryFolder } from "../../support/federation.js";

const folder = temporaryFolder();
after(() => folder.remove());
const { sketches, labels } = plantedSketches({ clients: 9, groups: 3, train: 40, validation: 60, dim: 24 });
const names = sketches.map(({ client }) => client);
const at = (name: string): string => join(folder.path, name);
const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
const runtime = { kind: "onnx", device: "cpu", threads: 1 } as const;
const settings = {
  subsets: "auto",
  subsetSize: "auto",
  standardError: "auto",
  lambda: "auto",
  design: "balanced",
  balance: "none",
} as const;

const estimate = (job: Partial<EstimateJob> = {}): Promise<EstimateFile> =>
  estimateFiles({ sketches: at("sketches"), out: at("estimate"), force: false, settings, runtime, ...job }, context);
let count = 0;
const group = (affinity: string, job: Partial<GroupJob> = {}): Promise<GroupsFile> => {
  const constraints = { together: [], apart: [] };
  const given = { out: at(`groups-${count++}.json`), force: false, groups: "auto", method: "kindred" } as const;
  return groupFiles({ affinity, constraints, runtime, ...given, ...job }, context);
};
const agreement = ({ groups }: GroupsFile): number =>
  adjustedRandIndex(
    names.map((name) => groups.findIndex((members) => members.includes(name))),
    labels,
  );
const mistake = (says: RegExp) => (error: unknown) => {
  assert.ok(error instanceof KindredError, String(error));
  assert.match(error.message, says);
  assert.equal(exitCodeOf(error), 2);
  return true;
};

before(async () => {
  for (const [i, { train, validation }] of sketches.entries())
    await writeSketchFile(join(at("sketches"), sketchFileName(i)), { train, validation }, {});
  await writeSketchIndex(at("sketches"), {
    model: "unknown",
    dim: 24,
    projections: 1,
    sketching: { seed: 4 },
    clients: sketches.map(({ client, trainExamples }, i) => ({ name: client, file: sketchFileName(i), trainExamples })),
    leftOut: [],
    flops: 0,
  });
});

test("an estimate's affinities are the means over its subsets, and its seed is that of the sketches", async () => {
  const file = await estimate();
  assert.deepEqual(file, JSON.parse(readFileSync(join(at("estimate"), FILES.estimate), "utf8")));
  assert.equal(file.settings.seed, 4);
  assert.ok(file.facts.largestGradientNorm < 1e-6 && file.cost.flops > 0);
  const { clients, matrix } = await readMatrix(join(at("estimate"), FILES.affinity));
  const errors = await readMatrix(join(at("estimate"), FILES.errors));
  assert.deepEqual(clients, names);
  // All subsets of three were drawn: nothing is left to err by.
  assert.equal(file.facts.subsets, binomial(names.length, 3));
  assert.ok(file.facts.standardError === 0 && errors.matrix.flat().every((row) => row.every((error) => error === 0)));
  const subsets = await readSubsets(join(at("estimate"), FILES.subsets), clients);
  assert.equal(subsets.length, file.facts.subsets);
  const both = subsets.filter(({ members }) => members.includes(2) && members.includes(5));
  const mean = both.reduce((sum, { members, values }) => sum + values[members.indexOf(2)]!, 0) / both.length;
  assert.ok(Math.abs(mean - matrix[2]![5]!) < 1e-12);
  await assert.rejects(estimate(), mistake(/holds an estimate; choose another --out, or add --force/));
});

test("with the sketches the estimator finds the planted groups and says what they gain", async () => {
  const found = await group(at("estimate"), { sketches: at("sketches") });
  assert.equal(agreement(found), 1, found.reason);
  assert.ok(found.judged && found.candidates.some(({ chosen }) => chosen));
  assert.ok(Math.abs(found.forecast!.loss.value + found.candidates.find(({ chosen }) => chosen)!.judged) < 1e-6);
  assert.match(found.reason, /^3 groups: they gain .* on held-out rows that were not used/);
  assert.equal(found.settings.seed, 4);
});

test("a matrix from elsewhere is grouped too: by itself, and judged where the sketches are there", async () => {
  const affinity = at("own.csv");
  const rows = labels.map((label, i) =>
    Float64Array.from(labels, (other, j) => Number(label === other) + 0.01 * ((i * j) % 7)),
  );
  await writeMatrix(affinity, { clients: names, matrix: rows });
  const alone = await group(affinity);
  assert.equal(agreement(alone), 1);
  assert.equal(alone.judged, false);
  assert.match(alone.reason, /3 groups by sdp, their number by the eigengap/);
  const path = await group(affinity, { number: "path" });
  assert.equal(agreement(path), 1);
  assert.match(path.reason, /3 groups by sdp, their number by the path of lambda/);
  assert.equal((await group(affinity, { groups: 2 })).groups.length, 2);
  for (const method of ["spectral", "agglomerative", "cocluster"] as const)
    assert.equal(agreement(await group(affinity, { method, groups: 3 })), 1, method);
  assert.equal(agreement(await group(affinity, { sketches: at("sketches") })), 1);
  const apart = { together: [], apart: [["client-0", "client-3"]], maxSize: 3 };
  const kept = await group(affinity, { constraints: apart });
  const own = kept.groups.find((members) => members.includes("client-0"))!;
  assert.ok(!own.includes("client-3") && kept.groups.every((members) => members.length <= 3));
});

test("what contradicts itself, or is not there, is the user's mistake and says what", async () => {
  const affinity = join(at("estimate"), FILES.affinity);
  const there = at("there.json");
  writeFileSync(there, "{}");
  await assert.rejects(group(affinity, { out: there }), mistake(/there\.json: is there already/));
  await assert.rejects(group(affinity, { method: "cosine" }), mistake(/needs the clients' sketches/));
  await assert.rejects(group(affinity, { groups: 10 }), mistake(/--groups is 10; 9 clients .* 1 to 9 groups/));
  const nobody = { together: [["client-0", "zoe"]], apart: [] };
  await assert.rejects(group(affinity, { constraints: nobody }), mistake(/client "zoe" is to be together or apart/));
  await assert.rejects(group(at("none.csv")), mistake(/none\.csv: no such file/));
  const settingsOf = { ...settings, subsetSize: 10 };
  await assert.rejects(
    estimate({ out: at("x"), settings: settingsOf }),
    mistake(/subsetSize must be 1\.\.9 \(clients\), got 10/),
  );
  const subsets = join(at("estimate"), FILES.subsets);
  const whole = readFileSync(subsets, "utf8");
  const [header, ...lines] = whole.trim().split("\n");
  // As a program that samples by itself may leave it: most pairs never met.
  const first = lines.filter((line) => line.startsWith("0,"));
  writeFileSync(subsets, [header, ...first].join("\n"));
  await assert.rejects(
    group(at("estimate"), { sketches: at("sketches") }),
    mistake(/subsets\.csv: no subset holds both "client-\d" and "client-\d"/),
  );
  writeFileSync(subsets, whole);
  writeFileSync(at("stranger.csv"), "client,zoe\nzoe,1\n");
  await assert.rejects(group(at("stranger.csv"), { sketches: at("sketches") }), mistake(/no sketches of client "zoe"/));
});
