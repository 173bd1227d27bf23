import assert from "node:assert/strict";
import { test } from "node:test";
import { KindredError } from "../../../shared/base/errors.js";
import { checkReport } from "../../../simulations/report/check.js";
import { sampleReport } from "./sample.js";

// biome-ignore lint/suspicious/noExplicitAny: reports are broken here in ways the type forbids
type Broken = any;

test("complete reports pass, before and after a round trip through JSON", () => {
  for (const options of [
    { clients: 24, groups: 4, strays: 2 },
    { clients: 8, groups: 2, noChoices: true, planted: false },
    { clients: 3, groups: 1, names: (i: number) => ["__proto__", "constructor", "7"][i] ?? "" },
  ]) {
    const report = sampleReport(options);
    checkReport(report);
    checkReport(JSON.parse(JSON.stringify(report)));
  }
});

const BREAKS: readonly (readonly [what: string, field: RegExp, damage: (report: Broken) => void])[] = [
  ["a client twice", /^clients$/, (r) => (r.clients[1] = r.clients[0])],
  ["a client in two groups", /^groups$/, (r) => r.groups[0].push(r.groups[1][0])],
  ["a client in no group", /^groups$/, (r) => r.groups[0].pop()],
  ["a stranger in a group", /^groups\[1\]$/, (r) => r.groups[1].push("stranger")],
  ["an empty group", /^groups\[4\]$/, (r) => r.groups.push([])],
  ["a row of the affinity missing", /^affinity$/, (r) => r.affinity.pop()],
  ["an affinity that is not square", /^affinity\[3\]$/, (r) => r.affinity[3].pop()],
  ["NaN in the affinity", /^affinity\[2\]\[5\]$/, (r) => (r.affinity[2][5] = Number.NaN)],
  ["null in the affinity, which is JSON of NaN", /^affinity\[0\]\[1\]$/, (r) => (r.affinity[0][1] = null)],
  [
    "a client without a score",
    /^methods\.local\.clients\["client-03"\]$/,
    (r) => delete r.methods.local.clients["client-03"],
  ],
  ["a score of a stranger", /^methods\.base\.clients$/, (r) => (r.methods.base.clients.x = { loss: 1, accuracy: 1 })],
  [
    "an infinite loss",
    /client-01"\]\.loss$/,
    (r) => (r.methods.base.clients["client-01"].loss = Number.POSITIVE_INFINITY),
  ],
  ["an accuracy in percent", /client-01"\]\.accuracy$/, (r) => (r.methods.base.clients["client-01"].accuracy = 55)],
  ["a mean that is not the mean", /^methods\.shared\.mean\.loss$/, (r) => (r.methods.shared.mean.loss += 1e-6)],
  ["a mean accuracy missing", /^methods\.shared\.mean\.accuracy$/, (r) => (r.methods.shared.mean.accuracy = null)],
  ["an unknown method", /^methods$/, (r) => (r.methods.magic = r.methods.base)],
  ["no methods", /^methods$/, (r) => delete r.methods],
  ["negative bytes", /^cost\.shared\.bytesUp$/, (r) => (r.cost.shared.bytesUp = -1)],
  ["operations that no stage has", /^cost\.shared\.flops$/, (r) => (r.cost.shared.flops *= 2)],
  ["no operations counted", /^cost\.kindred\.flops$/, (r) => delete r.cost.kindred.flops],
  ["planted groups without one client", /^planted\.groups$/, (r) => r.planted.groups[0].pop()],
  ["a Rand index above one", /^planted\.adjustedRandIndex$/, (r) => (r.planted.adjustedRandIndex = 1.01)],
  ["no learning rate", /^learningRate$/, (r) => delete r.learningRate],
  ["a version that is a number", /^versions\.node$/, (r) => (r.versions.node = 22)],
  ["a curve that goes back", /^curves\[0\]\.points\[4\]\.step$/, (r) => (r.curves[0].points[4].step = 1)],
  [
    "NaN in a curve",
    /^curves\[1\]\.points\[2\]\.validationLoss$/,
    (r) => (r.curves[1].points[2].validationLoss = Number.NaN),
  ],
  ["a member of a missing group", /^members\[0\]\.group$/, (r) => (r.members[0].group = 4)],
  ["a missing weight", /^weights\["client-05"\]$/, (r) => r.weights["client-05"].pop()],
  ["a negative weight", /^weights\["client-05"\]\[0\]$/, (r) => (r.weights["client-05"][0] = -0.1)],
  ["two chosen partitions", /^grouping\.candidates$/, (r) => (r.grouping.candidates[0].chosen = true)],
  ["no pair coverage", /^estimation\.pairCoverage$/, (r) => delete r.estimation.pairCoverage],
  ["a fault without a message", /^faults\[0\]\.message$/, (r) => r.faults.push({ client: "a", stage: "train" })],
];

for (const [what, field, damage] of BREAKS)
  test(`refuses ${what}`, () => {
    const report = structuredClone(sampleReport({ clients: 24, groups: 4 }));
    damage(report);
    assert.throws(
      () => checkReport(report),
      (error: unknown) => {
        assert.ok(error instanceof KindredError);
        assert.equal(error.code, "internal");
        assert.match(String(error.facts.field), field);
        assert.match(error.message, /^report\..* must be /);
        return true;
      },
    );
  });
