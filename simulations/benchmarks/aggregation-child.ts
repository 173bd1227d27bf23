/** One fold of `npm run bench -- aggregation`, in a process of its own: its only argument is the case, as JSON. */
import { readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { RoundFold } from "../../coordinator/rounds/fold.js";
import { openState } from "../../coordinator/storage/open.js";
import { strategyOf } from "../../coordinator/strategies/registry.js";
import { peakRssBytes } from "../../shared/base/peak.js";
import { SeededRng } from "../../shared/base/random.js";
import { strategy as settingsSchema } from "../../shared/config/strategies.js";
import type { AggregationCase, AggregationFigures, StoredRound } from "./aggregation.js";

const given = JSON.parse(process.argv[2] ?? "{}") as AggregationCase;
const { start, updates } = JSON.parse(readFileSync(given.round, "utf8")) as StoredRound;
const state = await openState(given.state);
const clients = updates.map((_, at) => `client-${at}`);
const fold = new RoundFold({
  blobs: state.blobs,
  strategy: strategyOf(settingsSchema.parse({ kind: given.strategy })),
  round: {
    training: "bench",
    index: 1,
    count: 2,
    clients: clients.map((name) => ({ name, examples: 100, steps: 1 })),
    learningRate: 0.01,
    rng: (label) => new SeededRng(0, label),
  },
  adapter: {
    kind: "lora",
    rank: 16,
    alpha: 32,
    modules: [],
    dropout: 0,
    initSeed: 0,
    freezeA: true,
    rslora: false,
  },
  start,
  state: undefined,
  expected: undefined,
});
const baseBytes = process.memoryUsage.rss();
const delay = monitorEventLoopDelay({ resolution: 1 });
delay.enable();
let longestWorkMs = 0;
let before = process.cpuUsage();
const ticker = setInterval(() => {
  const { user, system } = process.cpuUsage(before);
  longestWorkMs = Math.max(longestWorkMs, (user + system) / 1000);
  before = process.cpuUsage();
}, 1);
const began = performance.now();
for (const [at, values] of updates.entries()) {
  const steps = { learningRate: 0.01, weightDecay: 0, steps: 10 };
  await fold.accept({ client: clients[at] as string, examples: 100, values, steps });
}
const { accepted } = await fold.finish();
const seconds = (performance.now() - began) / 1000;
delay.disable();
clearInterval(ticker);
const figures: AggregationFigures = {
  baseBytes,
  peakBytes: peakRssBytes(),
  seconds,
  longestGapMs: delay.max / 1e6,
  longestWorkMs,
  accepted,
};
await state.close();
process.stdout.write(JSON.stringify(figures), () => process.exit(0));
