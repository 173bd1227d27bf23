/** A kind of task is a folder and a line: here a folder of the test, and `defineTaskKind` in place of the line. */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { before, test } from "node:test";
import type { EncodedDataset, EncodedRow } from "../../client/data/types.js";
import { ClientWork } from "../../client/tasks/runner.js";
import { asset } from "../../shared/base/assets.js";
import { snakeCase } from "../../shared/wire/fields.js";
import { defineTaskKind, kindNamed, kindNames, type TaskSpec } from "../../tasks/kinds.js";
import { clientOf, coordinatorAt, temporaryFolder } from "../support/federation.js";
import { type CountRows, type CountRowsResult, countRows } from "./count-rows/message.js";

const row = {} as EncodedRow;
const DATASET = { train: [row, row, row], validation: [row], test: [row] } as unknown as EncodedDataset;

before(() => defineTaskKind(countRows, () => import("./count-rows/work.js")));

test("a kind that is added to the table is asked for, done and answered", async (t) => {
  const folder = temporaryFolder();
  const coordinator = await coordinatorAt(folder.path);
  const runner = new ClientWork({ compiledGraphs: undefined as never, dataset: () => DATASET });
  const client = clientOf(coordinator.address, "counting", { runner });
  t.after(async () => {
    await client.stop();
    await coordinator.close();
    folder.remove();
  });
  await coordinator.pool.whenEnrolled(1);
  const ask = (limit: number) => {
    const task: CountRows = { kind: "countRows", limit };
    return coordinator.pool.run(`count/${limit}`, "counting", task as unknown as TaskSpec);
  };
  const all = await ask(0);
  assert.ok(all.ok);
  assert.equal((all.result as unknown as CountRowsResult).rows, 5);
  const four = await ask(4);
  assert.ok(four.ok);
  assert.equal((four.result as unknown as CountRowsResult).rows, 4);
  // The kind's own bounds hold on both sides: of the task where it is given, of the answer where it comes in.
  await assert.rejects(ask(1_001), {
    code: "invalid_option",
    message: /count_rows\.limit must be 0\.\.1000, got 1001/,
  });
  const wrong = await ask(2);
  assert.ok(!wrong.ok && wrong.message.includes("count_rows.rows must be at most 2, got 5"));
});

test("a name that is taken is refused", () => {
  const work = () => import("./count-rows/work.js");
  assert.throws(() => defineTaskKind({ ...countRows, name: "evaluate" as "countRows" }, work), {
    code: "already_exists",
  });
});

test("every folder of tasks/ is a kind of the table, with its messages, its .proto file and its work", () => {
  const folders = readdirSync(asset("tasks"), { withFileTypes: true }).filter((entry) => entry.isDirectory());
  const kebab = (name: string) => snakeCase(name).replaceAll("_", "-");
  const own = kindNames().filter((name) => kindNamed(name)?.proto.task.startsWith("kindred.v1."));
  assert.deepEqual(folders.map(({ name }) => name).sort(), own.map(kebab).sort());
  for (const { name } of folders) {
    assert.deepEqual(readdirSync(asset("tasks", name)).sort(), [`${name}.proto`, "message.ts", "work.ts"].sort());
  }
});
