/** The runs that are pinned: plans and cohorts. */
import type { CohortClient, Fault } from "../../support/cohort.js";
import type { Case } from "../../support/lives.js";
import type { PinnedPlan } from "../../support/pinned-run.js";

const EVERYTHING: PinnedPlan = {
  compare: ["base", "shared", "local", "full"],
  optimizer: "fedavg",
  learningRate: "auto",
  fullLearningRate: "auto",
  epochs: 2,
  freezeA: true,
  margin: "negatives",
  calibrate: true,
  groups: "auto",
  boosting: 1,
};

const SMALL: PinnedPlan = {
  ...EVERYTHING,
  compare: ["shared", "local"],
  learningRate: 0.01,
  epochs: 1,
  margin: "answer",
  calibrate: false,
  groups: 2,
};

/** In two planted groups, with rows that differ in number. */
const clients = (count: number): CohortClient[] =>
  Array.from({ length: count }, (_, i) => ({
    name: `client-${i}`,
    group: i % 2,
    rows: { train: 3 + (i % 2), validation: 2 + (i % 2), test: 2 },
  }));

const FAULTS: readonly Fault[] = [
  { kind: "listChoices", does: "fails" },
  { kind: "sketchGradients", does: "fails" },
  { kind: "sketchGradients", does: "notANumber" },
  { kind: "sketchGradients", does: "garbage" },
  { kind: "trainAdapter", does: "fails" },
  { kind: "trainAdapter", does: "notANumber" },
  { kind: "trainAdapter", does: "shape" },
  { kind: "trainAdapter", does: "far" },
  { kind: "trainAdapter", does: "garbage" },
  { kind: "evaluate", does: "fails" },
  { kind: "evaluate", does: "count" },
  { kind: "fitWeights", does: "fails" },
  { kind: "fitWeights", does: "count" },
  { kind: "receiveEnsemble", does: "fails" },
];

/** As few tasks as a run with two groups, rounds and boosting has. */
const TINY: Case = {
  plan: { ...SMALL, compare: ["shared"] },
  clients: clients(3).map((client) => ({ ...client, rows: { ...client.rows, train: 2 + client.group } })),
};

/** Four sound clients, and one with each fault. */
const faulty = (faults: readonly Fault[]): CohortClient[] =>
  clients(4 + faults.length).map((client, i) => (i < 4 ? client : { ...client, faults: [faults[i - 4]!] }));

export const CASES = {
  everything: { plan: EVERYTHING, clients: clients(6) },
  tiny: TINY,
  small: { plan: SMALL, clients: clients(3) },
  alone: { plan: { ...EVERYTHING, groups: 1 }, clients: clients(1) },
  fedexp: {
    plan: { ...SMALL, optimizer: "fedexp", compare: ["base", "full"], fullLearningRate: 0.01 },
    clients: clients(4),
  },
  fedadam: {
    plan: { ...SMALL, optimizer: "fedadam", compare: [], freezeA: false, learningRate: "auto" },
    clients: clients(4),
  },
  fedyogi: { plan: { ...SMALL, optimizer: "fedyogi", compare: ["shared"], calibrate: true }, clients: clients(4) },
  int8: {
    plan: { ...SMALL, epochs: 3, compare: ["full"], fullLearningRate: 0.01, compression: "int8" },
    clients: clients(4),
  },
  faults: { plan: { ...EVERYTHING, learningRate: 0.01, fullLearningRate: 0.01, epochs: 1 }, clients: faulty(FAULTS) },
  twoFaults: {
    plan: SMALL,
    clients: faulty(FAULTS.filter(({ kind, does }) => kind === "trainAdapter" && does !== "garbage")),
  },
} as const satisfies Record<string, Case>;

export type CaseName = keyof typeof CASES;
