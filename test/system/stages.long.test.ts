/** The stages one by one, as processes, come to what a run comes to; and a run explains its clients. */
import assert from "node:assert/strict";
import { readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import type { GroupsFile } from "../../cli/jobs/group.js";
import type { Explanation } from "../../coordinator/stages/explain.js";
import type { Report } from "../../simulations/report/types.js";
import { temporaryFolder } from "../support/federation.js";
import { kindred } from "../support/processes.js";
import { tinyClients, writeTinyRun } from "../support/tiny.js";

const folder = temporaryFolder();
after(() => folder.remove());
const at = (name: string): string => join(folder.path, name);
const read = <T>(path: string): T => JSON.parse(readFileSync(path, "utf8")) as T;

async function done(...words: string[]): Promise<string> {
  const { code, stdout, stderr } = await kindred(words);
  assert.equal(code, 0, stderr);
  return stdout;
}

async function refused(says: RegExp, ...words: string[]): Promise<void> {
  const { code, stdout, stderr } = await kindred([...words, "--quiet"]);
  assert.equal(code, 2, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, says);
  assert.equal(stderr.trim().split("\n").length, 1, stderr);
}

before(async () => {
  const config = writeTinyRun(folder.path, tinyClients({ clients: 7, train: 12, validation: 6, test: 4 }), {
    seed: 5,
    compare: ["base"],
    training: { epochs: 1, batch: 8, learningRate: 0.03 },
    boosting: { rounds: 0 },
    estimation: { dim: 32, projections: 2, labels: true, subsets: 30, subsetSize: 3 },
  });
  await done("simulate", config, "--out", at("run"));
  await done("gradients", config, "--out", at("sketches"));
});

test("gradients, estimate and group come to the affinities and groups of a simulation with the same seed", async () => {
  await done("estimate", at("sketches"), "--out", at("estimate"), "--subsets", "30", "--subset-size", "3");
  assert.equal(
    readFileSync(join(at("estimate"), "affinity.csv"), "utf8"),
    readFileSync(join(at("run"), "affinity.csv"), "utf8"),
  );
  const text = await done("group", at("estimate"), "--sketches", at("sketches"), "--out", at("groups.json"));
  const report = read<Report>(join(at("run"), "report.json"));
  const { groups, reason, forecast } = read<GroupsFile>(at("groups.json"));
  assert.deepEqual(groups, report.groups);
  assert.equal(groups.length, 2);
  for (const name of ["loss", "macroF1"] as const) {
    assert.ok(forecast?.[name] !== undefined);
    assert.equal(forecast[name].value, report.forecasts?.mean[name]?.estimated);
  }
  assert.ok((forecast?.macroF1?.value as number) > 0.9);
  assert.ok(text.includes(`group 2: ${groups[1]!.join(", ")}`) && text.trimEnd().endsWith(reason));
  // From the simulation's own matrix, without the sketches.
  await done("group", join(at("run"), "affinity.csv"), "--out", at("alone.json"));
  assert.deepEqual(read<GroupsFile>(at("alone.json")).groups, report.groups);
});

test("what is damaged or missing ends a stage with one line and exit code 2", async () => {
  writeFileSync(at("hole.csv"), "client,a,b\na,1,\nb,1,1\n");
  await refused(
    /hole\.csv:2: "a" with "b" must be a finite number, got nothing/,
    "group",
    at("hole.csv"),
    "--out",
    at("x"),
  );
  truncateSync(join(at("sketches"), "client-00003.safetensors"), 2000);
  await refused(/client-00003\.safetensors: .*truncated/, "estimate", at("sketches"), "--out", at("x"));
  await refused(/has no sketches\.json/, "estimate", at("run"), "--out", at("x"));
});

test("a run explains a client: its planted partners are best, moving costs; a run without sketches says so", async () => {
  const explained = JSON.parse(
    await done("affinity", "explain", at("run"), "c0", "--without", "c2", "--with", "c1", "--json"),
  ) as Explanation;
  assert.deepEqual(explained.members, ["c0", "c2", "c4", "c6"]);
  assert.ok(explained.partners.best.slice(0, 2).every(({ client }) => explained.members.includes(client)));
  for (const { own } of explained.moves) assert.ok(own.loss > 0);
  assert.deepEqual(
    explained.whatIf.map(({ event, other }) => [event, other]),
    [
      ["without", "c2"],
      ["with", "c1"],
    ],
  );
  assert.match(await done("affinity", "explain", at("run"), "c1"), /^c1 is in group 2, with c3, c5\n/);
  await refused(/the run has no client "zoe"/, "affinity", "explain", at("run"), "zoe");
  await refused(/is no run/, "affinity", "explain", at("sketches"), "c0");
  rmSync(join(at("run"), "state", "blobs"), { recursive: true });
  await refused(/the sketches of "c0" are gone/, "affinity", "explain", at("run"), "c0");
});
