/**
 * A coordinator as a process of its own, to be killed: runs a small pipeline through the journal and prints its progress and
 * its result as JSON lines. Arguments: state folder, HOST:PORT, number of clients, number of rounds.
 */
import { Journal } from "../../coordinator/run/journal.js";
import { adapterBytes, coordinatorAt, trainTask } from "./federation.js";

const [state = "", listen = "", clients = "", rounds = ""] = process.argv.slice(2);
const say = (event: object) => process.stdout.write(`${JSON.stringify(event)}\n`);

const coordinator = await coordinatorAt(state, { listen });
const { pool } = coordinator;
const journal = new Journal(coordinator.state.records);
say({ listening: coordinator.address });

const names = await journal.step("clients", async () => {
  const enrolled = await pool.whenEnrolled(Number(clients));
  return enrolled.map(({ name }) => name);
});
let start = await journal.step("start", () => pool.putBlob(adapterBytes(300_000, "start")));
const bytes: number[] = [];
for (let round = 0; round < Number(rounds); round++) {
  const merged = await journal.step(`round ${round}`, async () => {
    const outcomes = await Promise.all(
      names.map(async (name) => {
        const outcome = await pool.run(`round ${round}`, name, trainTask(start));
        say({ done: `${round} ${name}` });
        if (!outcome.ok) throw new Error(outcome.message);
        return outcome;
      }),
    );
    const first = outcomes[0];
    if (!first) throw new Error("no clients");
    // Random, so that only the journal makes two runs agree.
    return {
      values: first.result.values,
      bytes: outcomes.reduce((sum, outcome) => sum + outcome.bytesUp + outcome.bytesDown, 0),
      luck: Math.random(),
    };
  });
  start = merged.values;
  bytes.push(merged.bytes);
  say({ round, luck: merged.luck });
}
say({ result: { sha256: start.sha256, bytes } });
await pool.finish("done");
await coordinator.close();
