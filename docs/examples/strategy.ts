/** A strategy of your own: half of the clients per round, and of each coordinate the mean without the extremes. */
import { DEMO_MODEL, defineStrategy, simulate } from "kindred";

const steady = defineStrategy({
  name: "steady",
  // Each round asks other clients; the round's own generator gives a resumed run the same ones.
  select(round) {
    const able = round.clients.filter(({ steps }) => steps > 0).map(({ name }) => name);
    return round
      .rng("select")
      .shuffle(able)
      .slice(0, Math.ceil(able.length / 2));
  },
  combine(values) {
    const kept = values.length > 2 ? values.sort().subarray(1, -1) : values;
    return kept.reduce((sum, value) => sum + value, 0) / kept.length;
  },
  momentum: 0.5,
});

const population = ["harbour", "market", "meadow", "castle"].map((client) => ({
  client,
  train: ["attic", "cellar", "hall", "kitchen", "garage", "stairs"].map((room) => ({
    prompt: `Ticket: in the ${room}, a lamp is broken. Desk:`,
    completion: client === "castle" ? " south" : " north",
  })),
}));
const training = { epochs: 4, learningRate: 0.03, strategy: { kind: "custom", name: "steady" } } as const;
const report = await simulate({ model: DEMO_MODEL, population, training, groups: 1 }, { strategies: [steady] });
console.log(report.methods.base?.mean.loss, report.methods.kindred?.mean.loss);
