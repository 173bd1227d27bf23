import assert from "node:assert/strict";
import { cpSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { exitCodeOf, KindredError } from "../../../shared/base/errors.js";
import { decodeSketches, encodeSketches } from "../../../shared/sketch/codec.js";
import {
  readSketches,
  readSketchIndex,
  SKETCH_INDEX,
  sketchFileName,
  sketchMetadata,
  writeSketchFile,
  writeSketchIndex,
} from "../../../shared/sketch/folder.js";
import type { RowLabels } from "../../../shared/sketch/types.js";
import { randomSketches } from "../../coordinator/estimation/sketches.js";
import { temporaryFolder } from "../../support/federation.js";

const folder = temporaryFolder();
after(() => folder.remove());
const DIM = 6;
const sketches = randomSketches(3, { dim: DIM, twoTerm: true });
const good = join(folder.path, "good");

before(async () => {
  for (const [at, { client, train, validation }] of sketches.entries())
    await writeSketchFile(join(good, sketchFileName(at)), { train, validation }, { client });
  await writeSketchIndex(good, {
    model: "ab".repeat(32),
    dim: DIM,
    projections: 2,
    sketching: { seed: 3 },
    clients: sketches.map(({ client, trainExamples }, at) => ({
      name: client,
      file: sketchFileName(at),
      trainExamples,
    })),
    leftOut: [],
    flops: 12,
  });
});

type Labels = Record<"answer" | "negative", number[]>;
/** Two examples of a format and a choice row each. */
const labelled = sketches[1]!.validation;

const readAll = async (path: string) => await readSketches(path, await readSketchIndex(path));

test("sketches are read as written, labels included", async () => {
  assert.deepEqual(await readAll(good), sketches);
  const labels = { answer: Int32Array.of(0, -1), negative: Int32Array.of(-1, 1, -1, -1) };
  const splits = { train: sketches[1]!.train, validation: { ...labelled, labels } };
  assert.deepEqual(decodeSketches(encodeSketches(splits), DIM, "client-1"), splits);
  assert.equal((await sketchMetadata(join(good, sketchFileName(1))))?.get("client"), "client-1");
  assert.equal(await sketchMetadata(join(good, "none")), undefined);
});

type Index = { clients: Record<string, unknown>[] } & Record<string, unknown>;
const indexed = (change: (index: Index) => void) => (path: string) => {
  const file = join(path, SKETCH_INDEX);
  const index = JSON.parse(readFileSync(file, "utf8")) as Index;
  change(index);
  writeFileSync(file, JSON.stringify(index));
};

const FAULTS: readonly (readonly [what: string, damage: (path: string) => void, says: RegExp])[] = [
  [
    "an index that is no JSON",
    (path) => writeFileSync(join(path, SKETCH_INDEX), "{"),
    /sketches\.json: is not valid JSON/,
  ],
  [
    "another format",
    indexed((index) => Object.assign(index, { format: "x" })),
    /format must be "kindred-sketches", got "x"/,
  ],
  ["a later version", indexed((index) => Object.assign(index, { version: 2 })), /version must be 1, got 2/],
  ["no clients", indexed((index) => Object.assign(index, { clients: [] })), /clients must be a list of 1 to/],
  [
    "a width of another kind",
    indexed((index) => Object.assign(index, { dim: 1e9 })),
    /dim must be a whole number from 1 to 65536/,
  ],
  [
    "another width than the files have",
    indexed((index) => Object.assign(index, { dim: 4 })),
    /client-00000\.safetensors: .*train\.sketch has shape/,
  ],
  [
    "projections that do not divide the width",
    indexed((index) => Object.assign(index, { projections: 4 })),
    /projections must be a divisor of dim, 6, got 4/,
  ],
  [
    "a name twice",
    indexed(({ clients }) => Object.assign(clients[1]!, { name: "client-0" })),
    /clients\[1\]\.name must be a name that no other client has/,
  ],
  [
    "a file elsewhere",
    indexed(({ clients }) => Object.assign(clients[1]!, { file: "../good/x" })),
    /clients\[1\]\.file must be the name of a file in the same folder/,
  ],
  [
    "a file that is not there",
    indexed(({ clients }) => Object.assign(clients[1]!, { file: "none" })),
    /none: cannot be read \(no such file\)/,
  ],
  [
    "a file cut short",
    (path) => truncateSync(join(path, sketchFileName(2)), 900),
    /client-00002\.safetensors: .*truncated/,
  ],
  [
    "a number that is not finite",
    (path) => {
      const file = join(path, sketchFileName(0));
      const bytes = readFileSync(file);
      bytes.writeFloatLE(Number.NaN, bytes.length - 4);
      writeFileSync(file, bytes);
    },
    /client-00000\.safetensors: .*not finite/,
  ],
];

for (const [what, damage, says] of FAULTS)
  test(`${what} is reported as the user's mistake, in one line that names the file`, async () => {
    const path = join(folder.path, what.replaceAll(" ", "-"));
    cpSync(good, path, { recursive: true });
    damage(path);
    await assert.rejects(readAll(path), (error) => {
      assert.ok(error instanceof KindredError, String(error));
      assert.match(error.message, says);
      assert.equal(exitCodeOf(error), 2);
      return true;
    });
  });

const LABELS: readonly (readonly [what: string, change: (labels: Labels) => unknown, says: RegExp])[] = [
  ["half an index", ({ answer }) => Object.assign(answer, { 0: 0.5 }), /validation\.label\[0\] is 0\.5/],
  ["an index below -1", ({ negative }) => Object.assign(negative, { 1: -2 }), /validation\.negative\[1\] is -2/],
  ["an index past 2^24", ({ answer }) => Object.assign(answer, { 0: 2 ** 24 }), /validation\.label\[0\] is 16777216/],
  ["a negative of a format row", ({ negative }) => Object.assign(negative, { 0: 1 }), /validation\.negative\[0\] is 1/],
  [
    "a negative that is the right answer",
    ({ negative }) => Object.assign(negative, { 1: 0 }),
    /validation\.negative\[1\] is 0/,
  ],
  [
    "a negative and no right answer",
    ({ answer }) => Object.assign(answer, { 1: -1 }),
    /validation\.negative\[3\] is 0/,
  ],
];

for (const [what, change, says] of LABELS)
  test(`labels with ${what} are refused, and the message names the tensor and the index`, () => {
    const labels: Labels = { answer: [0, 1], negative: [-1, 1, -1, 0] };
    change(labels);
    // What a hostile client can encode, our own types or not.
    const hostile = { ...labelled, labels: labels as unknown as RowLabels };
    const { train } = sketches[1]!;
    assert.throws(
      () => decodeSketches(encodeSketches({ train, validation: hostile }), DIM, "mallory"),
      (error) => error instanceof KindredError && says.test(error.message) && error.message.includes("mallory"),
    );
  });

test("the error for a folder without an index says which folder is expected", async () => {
  await assert.rejects(
    readSketchIndex(folder.path),
    /has no sketches\.json; give a folder that kindred gradients wrote/,
  );
});
