import assert from "node:assert/strict";
import { appendFile, mkdir, mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import { MEASUREMENTS, Measurements } from "../../../../simulations/scenarios/harness/measurements.js";

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), "kindred-measurements-"));
  t.after(() => rm(path, { recursive: true, force: true }));
  return path;
}

test("a value is measured once, also by a later process", async (t) => {
  const out = await folder(t);
  let measured = 0;
  const measure = async () => ({ loss: 0.5, at: ++measured });
  const first = await Measurements.open(out, { model: "m", seed: 0 }, false);
  assert.deepEqual(await first.of({ tuned: ["b", "a"] }, measure), { loss: 0.5, at: 1 });
  const later = await Measurements.open(out, { seed: 0, model: "m" }, false);
  assert.deepEqual(await later.of({ tuned: ["b", "a"] }, measure), { loss: 0.5, at: 1 });
  assert.deepEqual(await later.of({ tuned: ["a"] }, measure), { loss: 0.5, at: 2 });
});

test("measurements of another setting are refused, and replaced with force", async (t) => {
  const out = await folder(t);
  await (await Measurements.open(out, { rate: 1 }, false)).of("x", async () => 1);
  await assert.rejects(Measurements.open(out, { rate: 2 }, false), (error: Error) => {
    assert.match(error.message, /measurements of another setting; choose another --out, or add --force/);
    return true;
  });
  assert.equal(await (await Measurements.open(out, { rate: 2 }, true)).of("x", async () => 2), 2);
});

test("a line that was incomplete when the process ended is measured again", async (t) => {
  const out = await folder(t);
  await (await Measurements.open(out, 1, false)).of("x", async () => 1);
  await appendFile(join(out, MEASUREMENTS), '{"key":"\\"y\\"","val');
  const again = await Measurements.open(out, 1, false);
  assert.equal(await again.of("x", async () => 0), 1);
  assert.equal(await again.of("y", async () => 2), 2);
  const lines = (await readFile(join(out, MEASUREMENTS), "utf8")).trim().split("\n");
  assert.deepEqual(
    lines.slice(1).map((line) => JSON.parse(line)),
    [
      { key: '"x"', value: 1 },
      { key: '"y"', value: 2 },
    ],
  );
});

test("a line that is not a measurement is named, and an unreadable file is not replaced", async (t) => {
  const out = await folder(t);
  await (await Measurements.open(out, 1, false)).of("x", async () => 1);
  await appendFile(join(out, MEASUREMENTS), "what\n");
  await assert.rejects(Measurements.open(out, 1, false), /line 3 is not a measurement; remove the line/);
  const other = await folder(t);
  await mkdir(join(other, MEASUREMENTS));
  await assert.rejects(Measurements.open(other, 1, false), { code: "EISDIR" });
});
