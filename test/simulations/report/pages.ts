/** The reports whose pages tests open in a browser: of all sizes and kinds. */
import type { Report } from "../../../simulations/report/types.js";
import { sampleReport } from "./sample.js";

const LONG = "Städtisches Krankenhaus für Innere Medizin und Kardiologie";
const FAULTS = [
  { client: "client-07", stage: "train", message: "deadline_exceeded: no progress for 600 s" },
  { client: "client-07", stage: "score", message: `the client has left: ${"x".repeat(300)}` },
];

/** By name, made when they are asked for. */
export const REPORTS: Readonly<Record<string, () => Report>> = {
  "3 clients": () => sampleReport({ clients: 3, groups: 2, testRows: 12 }),
  "24 clients": () => sampleReport({ clients: 24, groups: 4, strays: 2 }),
  "120 clients": () => sampleReport({ clients: 120, groups: 9, strays: 3, testRows: 8 }),
  "no structure": () => sampleReport({ clients: 24, groups: 1, planted: false, noise: true, testRows: 8 }),
  "a forced division without structure": () =>
    sampleReport({ clients: 12, groups: 3, planted: false, noise: true, testRows: 8 }),
  "a failed client": () => ({ ...sampleReport({ clients: 8, groups: 2, planted: false }), faults: FAULTS }),
  "long names": () =>
    sampleReport({
      clients: 24,
      groups: 5,
      testRows: 8,
      names: (i) => (i % 5 === 0 ? `${LONG}, ${"x".repeat(i)}${i}` : `c${i}`),
      prompt: `${"x".repeat(200)} `,
      title: `${LONG}: a title given in a hurry ${"y".repeat(80)}`,
    }),
  "plain text without choices": () => sampleReport({ clients: 8, groups: 2, planted: false, noChoices: true }),
};
