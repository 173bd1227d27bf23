import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { describe, it } from "node:test";
import { fileURLToPath } from "node:url";
import { SeededRng } from "../../shared/base/random.js";
import { clientOf, temporaryFolder } from "../support/federation.js";
import { freePort } from "../support/processes.js";

const PROGRAM = fileURLToPath(new URL("../support/coordinator-process.js", import.meta.url));
const CLIENTS = ["ada", "bob", "cyd"];
const ROUNDS = 6;

interface Event {
  readonly done?: string;
  readonly round?: number;
  readonly luck?: number;
  readonly result?: { readonly sha256: string; readonly bytes: readonly number[] };
}

/** Runs the coordinator until it ends, or kills it with SIGKILL at the event that `die` picks. */
async function coordinate(state: string, port: number, die: (event: Event) => boolean) {
  const args = [PROGRAM, state, `127.0.0.1:${port}`, String(CLIENTS.length), String(ROUNDS)];
  const child: ChildProcess = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const exited = new Promise<NodeJS.Signals | null>((resolve) => child.on("exit", (_, signal) => resolve(signal)));
  const events: Event[] = [];
  if (!child.stdout) throw new Error("no output");
  for await (const line of createInterface({ input: child.stdout })) {
    const event = JSON.parse(line) as Event;
    events.push(event);
    if (die(event)) child.kill("SIGKILL");
  }
  return { events, killed: (await exited) === "SIGKILL" };
}

/** The whole run, the coordinator killed after so many of its tasks, again and again. */
async function federation(kills: readonly number[]) {
  const folder = temporaryFolder();
  const port = await freePort();
  const clients = CLIENTS.map((name) => clientOf(`127.0.0.1:${port}`, name));
  const lucks = new Map<number, Set<number>>();
  let runs = 0;
  try {
    for (const after of [...kills, Number.POSITIVE_INFINITY]) {
      let tasks = 0;
      const { events, killed } = await coordinate(
        folder.path,
        port,
        (event) => event.done !== undefined && ++tasks >= after,
      );
      runs++;
      for (const { round, luck } of events) {
        if (round !== undefined && luck !== undefined) lucks.set(round, (lucks.get(round) ?? new Set()).add(luck));
      }
      const result = events.at(-1)?.result;
      if (!killed) {
        const ends = await Promise.all(clients.map(({ end }) => end));
        return { result, runs, ends, lucks };
      }
    }
    throw new Error("the coordinator never came to its end");
  } finally {
    await Promise.all(clients.map((client) => client.stop()));
    folder.remove();
  }
}

describe("a coordinator killed with SIGKILL, several times", () => {
  it("ends with the result of an undisturbed run, bytes included, and keeps what it had decided", async () => {
    const undisturbed = await federation([]);
    assert.ok(undisturbed.result);
    assert.equal(undisturbed.result.bytes.length, ROUNDS);
    assert.equal(undisturbed.runs, 1);

    const rng = new SeededRng(5, "kills");
    const disturbed = await federation([1 + rng.int(4), 2 + rng.int(4), 3 + rng.int(4)]);
    assert.equal(disturbed.runs, 4, "it was killed three times");
    assert.deepEqual(disturbed.result, undisturbed.result);
    assert.deepEqual(
      disturbed.ends.map(({ reason }) => reason),
      CLIENTS.map(() => "done"),
    );
    for (const [round, values] of disturbed.lucks) assert.equal(values.size, 1, `round ${round} was decided once`);
  });
});
