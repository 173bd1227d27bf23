/** A simulation of a population given as arrays. Nothing is read from files but the model, and nothing is kept. */
import { type ClientData, DEMO_MODEL, type RunEvent, simulate } from "kindred";

/** Tickets of one client. Its rule says which desk takes care of a lamp. */
function tickets(client: string, desk: string): ClientData {
  const rows = ["attic", "cellar", "hall", "kitchen", "garage", "stairs"].flatMap((room) =>
    ["broken", "cheap"].map((state) => ({
      prompt: `Ticket: in the ${room}, a ${state} lamp needs attention. Desk:`,
      completion: desk,
      choices: [" north", " south"],
    })),
  );
  return { client, train: rows };
}

/** Prints the groups as soon as they are known. */
function onEvent(event: RunEvent): void {
  if (event.type === "groups-found") console.log(event.groups);
}

const report = await simulate(
  {
    model: DEMO_MODEL,
    population: [tickets("harbour", " north"), tickets("market", " north"), tickets("castle", " south")],
    adapter: { rank: 4 },
    training: { epochs: 6, learningRate: 0.03 },
    compare: ["shared", "local"],
  },
  { onEvent },
);
for (const [method, { mean }] of Object.entries(report.methods)) console.log(method, mean.loss, mean.accuracy);
