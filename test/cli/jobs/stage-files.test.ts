import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, test } from "node:test";
import { readMatrix, readSubsets, writeMatrix, writeSubsets } from "../../../cli/jobs/stage-files.js";
import { exitCodeOf, KindredError } from "../../../shared/base/errors.js";
import { temporaryFolder } from "../../support/federation.js";

const folder = temporaryFolder();
after(() => folder.remove());
const path = join(folder.path, "matrix.csv");

/** Names as clients may have them: numbers, quotes and commas, and what a spreadsheet would run. */
const CLIENTS = ["2", "1", '=a"b', "c, d", "'e"];
const matrix = CLIENTS.map((_, i) => Float64Array.from(CLIENTS, (_, j) => -(i + 1) / 3 - 1e-17 * j));

test("a matrix keeps names, order and every digit", async () => {
  await writeMatrix(path, { clients: CLIENTS, matrix });
  assert.deepEqual(await readMatrix(path), { clients: CLIENTS, matrix });
});

test("columns may be in another order than rows", async () => {
  writeFileSync(path, ",b,a\na,2,1\nb,4,3\n");
  const read = await readMatrix(path);
  assert.deepEqual(read, { clients: ["a", "b"], matrix: [Float64Array.of(1, 2), Float64Array.of(3, 4)] });
});

test("subsets keep their members and values, and further columns are passed over", async () => {
  const subsets = [
    {
      members: [2, 0],
      values: Float64Array.of(-0.1, -1 / 3),
      halves: [Float64Array.of(1, 2), Float64Array.of(3, 4)] as const,
    },
    { members: [1], values: Float64Array.of(0), halves: [Float64Array.of(5), Float64Array.of(6)] as const },
  ];
  await writeSubsets(path, CLIENTS, subsets);
  assert.deepEqual(await readSubsets(path, CLIENTS), subsets);
  writeFileSync(path, "note,subset,client,value,first_half,second_half\nx,0,2,1,2,3\n");
  assert.deepEqual((await readSubsets(path, CLIENTS))[0]?.members, [0]);
});

const matrixFaults: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  ["a pair that is missing", "client,a,b\na,1,\nb,1,1\n", /:2: "a" with "b" must be a finite number, got nothing/],
  ["NaN", "client,a,b\na,1,2\nb,NaN,1\n", /:3: "b" with "a" must be a finite number, got "NaN"/],
  ["a word", "client,a,b\na,1,2\nb,none,1\n", /got "none"/],
  ["a name with two columns", "client,a,a\na,1,2\n", /:1: client "a" has two columns/],
  ["a name with two rows", "client,a,b\na,1,2\na,1,2\n", /:3: client "a" has a second row \(first: line 2\)/],
  ["a row that is missing", "client,a,b\na,1,2\n", /client "b" has a column and no row/],
  ["a column that is missing", "client,a\nb,1\n", /:2: client "b" has a row and no column/],
  ["a row cut short", "client,a,b\na,1\n", /matrix\.csv:2: is not valid CSV/],
  ["a header alone", "client,a,b\n", /holds no rows of clients/],
  ["nothing", "", /holds no rows of clients/],
  ["no names", "client\na\n", /must name 1 to 10000 clients, got 0/],
];
const subsetFaults: readonly (readonly [what: string, text: string, says: RegExp])[] = [
  ["a column that is missing", "subset,client,value\n0,1,2\n", /has no column first_half/],
  [
    "a client that nobody knows",
    "subset,client,value,first_half,second_half\n0,zoe,1,1,1\n",
    /:2: client "zoe" is not in/,
  ],
  ["a subset out of order", "subset,client,value,first_half,second_half\n7,1,1,1,1\n", /:2: subset is "7"/],
  [
    "a member twice",
    "subset,client,value,first_half,second_half\n0,1,1,1,1\n0,1,1,1,1\n",
    /:3: client "1" is in subset 0 twice/,
  ],
  [
    "a value that is no number",
    "subset,client,value,first_half,second_half\n0,1,1,x,1\n",
    /first_half must be a finite number, got "x"/,
  ],
];

for (const [kind, read, faults] of [
  ["matrix", () => readMatrix(path), matrixFaults],
  ["list of subsets", () => readSubsets(path, CLIENTS), subsetFaults],
] as const)
  for (const [what, text, says] of faults)
    test(`in a ${kind}, ${what} is one line that says where, and the user's mistake`, async () => {
      writeFileSync(path, text);
      await assert.rejects(read, (error) => {
        assert.ok(error instanceof KindredError, String(error));
        assert.match(error.message, says);
        assert.equal(exitCodeOf(error), 2);
        return true;
      });
    });
