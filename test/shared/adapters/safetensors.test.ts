/** The safetensors reader and writer on valid and damaged files and blobs. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import {
  encodeSafetensors,
  parseSafetensors,
  readIntTensor,
  readSafetensorsHeader,
  readTensor,
  readTensors,
  writeSafetensors,
} from "../../../shared/adapters/safetensors.js";
import { KindredError } from "../../../shared/base/errors.js";
import type { FloatTensor, NamedTensors } from "../../../shared/base/tensors.js";

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-safetensors-"));
});
after(() => rm(folder, { recursive: true, force: true }));

function tensor(shape: readonly number[], values: readonly number[]): FloatTensor {
  return { shape, data: Float32Array.from(values) };
}

/** A blob from a header as text and data bytes. */
function blob(header: string, data: Uint8Array = new Uint8Array(0), claimed?: bigint): Uint8Array {
  const text = Buffer.from(header, "utf8");
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(claimed ?? BigInt(text.length));
  return Buffer.concat([length, text, data]);
}

const sample: NamedTensors = new Map([
  ["b.weight", tensor([2, 3], [1, -2, 3.5, 0, -0, 1e-40])],
  ["a", tensor([], [7])],
  ["10", tensor([0, 4], [])],
  ['odd "name"\u2028\\', tensor([2], [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])],
]);

test("decoded tensors equal the encoded ones, in the same order", () => {
  const bytes = encodeSafetensors(sample, { metadata: { format: "pt", "a\nb": "ü" } });
  assert.equal(bytes.length % 4, 0);
  assert.equal(Number(new DataView(bytes.buffer).getBigUint64(0, true)) % 8, 0, "the data starts at a multiple of 8");
  const { tensors, metadata } = parseSafetensors(bytes);
  assert.deepEqual([...tensors], [...sample]);
  assert.deepEqual(Object.fromEntries(metadata), { format: "pt", "a\nb": "ü" });
});

test("a blob at an odd offset of a larger buffer is read", () => {
  const bytes = encodeSafetensors(sample);
  const larger = new Uint8Array(bytes.length + 3);
  larger.set(bytes, 3);
  assert.deepEqual([...parseSafetensors(larger.subarray(3)).tensors], [...sample]);
});

test("the bytes depend on the order of the tensors only where the order is kept", () => {
  const reversed = new Map([...sample].reverse());
  assert.notDeepEqual(encodeSafetensors(sample), encodeSafetensors(reversed));
  assert.deepEqual(encodeSafetensors(sample, { order: "name" }), encodeSafetensors(reversed, { order: "name" }));
  assert.deepEqual(
    encodeSafetensors(sample, { metadata: { x: "1", y: "2" } }),
    encodeSafetensors(sample, {
      metadata: new Map([
        ["y", "2"],
        ["x", "1"],
      ]),
    }),
  );
});

test("a file is written whole and read tensor by tensor", async () => {
  const path = join(folder, "new", "sample.safetensors");
  await writeSafetensors(path, sample);
  assert.deepEqual(await readdir(join(folder, "new")), ["sample.safetensors"], "no temporary file is left");
  const file = await readSafetensorsHeader(path);
  assert.deepEqual([...file.tensors.keys()], [...sample.keys()]);
  assert.equal(file.tensors.get("a")!.offset, file.byteLength - 12);
  assert.deepEqual(await readTensor(file, "b.weight"), sample.get("b.weight")!.data);
  assert.deepEqual([...(await readTensors(file))], [...sample]);
  await assert.rejects(readTensor(file, "c"), /sample\.safetensors: has no tensor "c"/);
});

test("whole numbers of 64 bits are read where they fit into 32", async () => {
  const path = join(folder, "ints.safetensors");
  const data = new Uint8Array(BigInt64Array.of(1n, -5n, 2147483647n, 2147483648n).buffer);
  const header =
    '{"ok":{"dtype":"I64","shape":[3],"data_offsets":[0,24]},"big":{"dtype":"I64","shape":[1],"data_offsets":[24,32]}}';
  await writeFile(path, blob(header, data));
  const file = await readSafetensorsHeader(path);
  assert.deepEqual(await readIntTensor(file, "ok"), Int32Array.of(1, -5, 2147483647));
  await assert.rejects(readIntTensor(file, "big"), /"big": 2147483648 at 0 does not fit into 32 bits/);
  await assert.rejects(readTensor(file, "ok"), /"ok" is I64; F32, F16 and BF16 can be read/);
});

test("a missing file, a folder and every truncation are named errors", async () => {
  await assert.rejects(readSafetensorsHeader(join(folder, "none")), {
    code: "invalid_model",
    message: /none: cannot be read \(no such file\)/,
  });
  await assert.rejects(readSafetensorsHeader(folder), { code: "invalid_model", message: /is not a file/ });
  const path = join(folder, "cut.safetensors");
  const bytes = encodeSafetensors(sample);
  for (let length = 0; length < bytes.length; length++) {
    await writeFile(path, bytes.subarray(0, length));
    await assert.rejects(readSafetensorsHeader(path, { code: "invalid_adapter" }), (error) => {
      assert.ok(error instanceof KindredError);
      assert.equal(error.code, "invalid_adapter");
      assert.ok(error.message.startsWith(path));
      return true;
    });
  }
});

test("the error for a file that is truncated after its header was read says where it ends", async () => {
  const path = join(folder, "shrinks.safetensors");
  const bytes = encodeSafetensors(sample);
  await writeFile(path, bytes);
  const file = await readSafetensorsHeader(path);
  await writeFile(path, bytes.subarray(0, bytes.length - 2));
  await assert.rejects(readTensor(file, 'odd "name"\u2028\\'), /ends at byte \d+; 2 more were expected/);
});

const one = '"dtype":"F32","shape":[1],"data_offsets"';
const bad: readonly [name: string, bytes: Uint8Array, message: RegExp][] = [
  ["no bytes", new Uint8Array(0), /0 bytes are too few/],
  ["a header length beyond the bound", blob("{}", undefined, 2n ** 63n), /claims 9223372036854775808 bytes; at most/],
  ["a header length beyond the blob", blob("{}", undefined, 3n), /claims 3 bytes, but the file ends 2 bytes/],
  ["an empty header", blob(""), /does not start with \{/],
  ["space before the header", blob(" {}"), /does not start with \{/],
  ["JSON that is cut", blob('{"a":'), /not valid JSON/],
  ["bytes that are not UTF-8", blob("{}", Uint8Array.of(0xff), 3n), /not valid JSON/],
  ["an entry that is no object", blob('{"a":1}'), /"a" is not described by an object/],
  ["an unknown dtype", blob('{"a":{"dtype":"F31","shape":[],"data_offsets":[0,4]}}'), /unknown dtype "F31"/],
  ["a dtype of Object's", blob('{"a":{"dtype":"toString","shape":[],"data_offsets":[0,4]}}'), /unknown dtype/],
  ["a negative dimension", blob('{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}}'), /not a list of counts/],
  ["a fraction as dimension", blob('{"a":{"dtype":"F32","shape":[0.5],"data_offsets":[0,4]}}'), /not a list of counts/],
  ["descending offsets", blob(`{"a":{${one}:[4,0]}}`), /not two ascending byte offsets/],
  [
    "offsets beyond the data",
    blob(`{"a":{${one}:[0,4]}}`, new Uint8Array(3)),
    /ends at byte 4 of the data, but only 3/,
  ],
  ["a shape too large", blob(`{"a":{${one.replace("[1]", "[2]")}:[0,4]}}`, new Uint8Array(4)), /needs 8 bytes.*give 4/],
  [
    "a shape that overflows",
    blob('{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}'),
    /too many/,
  ],
  ["a gap", blob(`{"a":{${one}:[0,4]},"b":{${one}:[5,9]}}`, new Uint8Array(9)), /"b" starts at byte 5.*after a gap/],
  ["an overlap", blob(`{"a":{${one}:[0,4]},"b":{${one}:[2,6]}}`, new Uint8Array(6)), /"b" starts at byte 2.*inside/],
  ["bytes behind the last", blob(`{"a":{${one}:[0,4]}}`, new Uint8Array(6)), /2 bytes after the last tensor/],
  ["a name twice", blob(`{"a":{${one}:[0,4]},"\\u0061":{${one}:[4,8]}}`, new Uint8Array(8)), /"a" appears twice/],
  ["metadata of numbers", blob('{"__metadata__":{"x":1}}'), /__metadata__ "x" is not a string/],
];
for (const [name, bytes, message] of bad) {
  test(`a blob with ${name} is refused`, () => {
    assert.throws(
      () => parseSafetensors(bytes),
      (error) => {
        assert.ok(error instanceof KindredError, String(error));
        assert.equal(error.code, "invalid_message");
        assert.match(error.message, message);
        return true;
      },
    );
  });
}

test("a tensor called __proto__ is a tensor like any other", () => {
  const { tensors } = parseSafetensors(encodeSafetensors(new Map([["__proto__", tensor([1], [3])]])));
  assert.deepEqual(tensors.get("__proto__"), tensor([1], [3]));
});

test("a tensor whose shape does not fit its values is not encoded", () => {
  assert.throws(() => encodeSafetensors(new Map([["a", tensor([3], [1, 2])]])), { code: "shape_mismatch" });
  assert.throws(() => encodeSafetensors(new Map([["__metadata__", tensor([1], [1])]])), { code: "shape_mismatch" });
});
