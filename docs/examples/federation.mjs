/** A coordinator and two clients in one process. In a deployment, each of the three calls is a program of its own. */
import { DEMO_MODEL, startClient, startCoordinator } from "kindred";

const rows = (desk) =>
  ["attic", "cellar", "hall", "kitchen", "garage", "stairs"].map((room) => ({
    prompt: `Ticket: in the ${room}, a lamp was stolen. Desk:`,
    completion: desk,
    choices: [" north", " south"],
  }));

const coordinator = await startCoordinator({
  minClients: 2,
  model: DEMO_MODEL,
  training: { epochs: 4, learningRate: 0.03 },
});
const clients = await Promise.all(
  ["harbour", "castle"].map((name) =>
    startClient({
      coordinator: coordinator.address,
      name,
      model: DEMO_MODEL,
      // The rows stay in the client. What leaves it is listed in PRIVACY.md.
      data: { train: rows(name === "harbour" ? " north" : " south") },
    }),
  ),
);

const outcome = await coordinator.result;
console.log("groups:", outcome.groups);
for (const client of clients) {
  const { reason, ensemble } = await client.result;
  console.log(
    reason,
    ensemble?.members.map(({ name, weight }) => `${name} x ${weight.toFixed(2)}`),
  );
}
