/** Truncated, contradictory and unsupported GGUF files: each gives a clear error, without large allocations. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { asset } from "../../../shared/base/assets.js";
import { KindredError } from "../../../shared/base/errors.js";
import { SeededRng } from "../../../shared/base/random.js";
import { openModelFolder, readModelTensor } from "../../../shared/models/files.js";
import { readGgufHeader } from "../../../shared/models/gguf.js";

const root = await mkdtemp(join(tmpdir(), "kindred-gguf-"));
after(() => rm(root, { recursive: true, force: true }));

const TINY = readFileSync(asset("test", "fixtures", "gguf", "tiny.gguf"));

let count = 0;
async function file(bytes: Uint8Array): Promise<string> {
  const path = join(root, `m${count++}.gguf`);
  await writeFile(path, bytes);
  return path;
}

/** The fixture with a change at a byte after a given text. */
function patched(text: string, after: number, change: Uint8Array | string): Promise<string> {
  const bytes = Buffer.from(TINY);
  const at = bytes.indexOf(text);
  assert.ok(at >= 0, `${text} is not in the fixture`);
  bytes.set(typeof change === "string" ? Buffer.from(change) : change, at + after);
  return file(bytes);
}

const u64 = (value: bigint): Uint8Array => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
};
const u32 = (value: number): Uint8Array => u64(BigInt(value)).subarray(0, 4);
const key = (name: string): readonly [string, number] => [name, name.length];

/** Offset of a field's value after its name: the type has 4 bytes. */
const VALUE = 4;
/** Offset of an array's length after its name: the array's type and its values' type come first. */
const LENGTH = 8;

const HUGE = u64(2n ** 62n);
const refused: readonly [name: string, make: () => Promise<string>, message: RegExp, code?: string][] = [
  ["an empty file", () => file(new Uint8Array()), /the magic goes beyond the end/],
  ["another format", () => patched("GGUF", 0, "PK\u0003\u0004"), /does not start with GGUF/],
  ["version 1", () => patched("GGUF", 4, u32(1)), /GGUF version 1; versions 2 and 3/, "unsupported"],
  ["big-endian numbers", () => patched("GGUF", 4, u32(3 << 24)), /holds big-endian numbers; convert it/, "unsupported"],
  ["more tensors than fit", () => patched("GGUF", 8, HUGE), /number of tensors is 4611686018427387904; at most \d{4} /],
  ["more fields than fit", () => patched("GGUF", 16, HUGE), /number of metadata fields is 46/],
  ["a name as long as nothing", () => patched("GGUF", 24, HUGE), /length of the name of metadata field 0 is 46/],
  [
    "a list of texts as long as nothing",
    () => patched("tokenizer.ggml.tokens", "tokenizer.ggml.tokens".length + LENGTH, HUGE),
    /length of metadata "tokenizer.ggml.tokens" is 46.*at most/,
  ],
  [
    "an array of arrays",
    () => patched("tokenizer.ggml.tokens", "tokenizer.ggml.tokens".length + VALUE, u32(9)),
    /array of the type 9/,
  ],
  [
    "a type of values that is none",
    () => patched(...key("llama.block_count"), u32(77)),
    /"llama.block_count" has the unknown type 77/,
  ],
  [
    "a truth value of 3",
    () => patched("tokenizer.ggml.add_bos_token", "tokenizer.ggml.add_bos_token".length + VALUE, "\u0003"),
    /is 3; expected a boolean/,
  ],
  [
    "a tensor of 5 dimensions",
    () => patched(...key("output_norm.weight"), u32(5)),
    /"output_norm.weight" has 5 dimensions/,
  ],
  [
    "a tensor beyond the file",
    () => patched("output_norm.weight", "output_norm.weight".length + 4, u64(1n << 20n)),
    /"output_norm.weight" ends at byte \d+, but the file has 70688/,
  ],
  [
    "a tensor whose size overflows",
    () => patched("output_norm.weight", "output_norm.weight".length + 4, u64(2n ** 52n)),
    /F32 cannot have the shape \[4503599627370496\]/,
  ],
  [
    "an offset inside another tensor",
    () => patched("output_norm.weight", "output_norm.weight".length + 4 + 8 + 4, u64(32n)),
    /inside another or not aligned/,
  ],
  [
    "an offset that is not aligned",
    () => patched("token_embd.weight", "token_embd.weight".length + 4 + 16 + 4, u64(4n)),
    /"token_embd.weight" starts at byte 4 of the data, inside another or not aligned/,
  ],
  [
    "rows that are not whole blocks",
    () => patched("token_embd.weight", "token_embd.weight".length + 4, u64(48n)),
    /Q8_0 cannot have the shape \[278, 48\]/,
  ],
  [
    "a type that is not read",
    () => patched("output_norm.weight", "output_norm.weight".length + 4 + 8, u32(12)),
    /"output_norm.weight" is of the type Q4_K, which is not supported \(supported: F32, F16, BF16, Q4_0/,
    "unsupported",
  ],
  [
    "two tensors of one name",
    () => patched("blk.1.attn_norm.weight", 4, "0"),
    /"blk.0.attn_norm.weight" appears twice/,
  ],
  [
    "another architecture",
    () => patched("general.architecture", "general.architecture".length + VALUE + 8, "mamba"),
    /general.architecture "mamba" is not supported \(supported: llama\)/,
    "unsupported",
  ],
  ["a field that is missing", () => patched("llama.block_count", 6, "stack"), /metadata llama.block_count is missing/],
  [
    "heads wider than what turns",
    () => patched("llama.rope.dimension_count", "llama.rope.dimension_count".length + VALUE, u32(8)),
    /llama.rope.dimension_count 8 is not the width of a head \(16\)/,
    "unsupported",
  ],
  [
    "a tensor that no Llama has",
    () => patched("blk.0.ffn_gate.weight", 6, "ffn_what"),
    /tensor "blk.0.ffn_what.weight", which a Llama does not have/,
    "unsupported",
  ],
];

for (const [name, make, message, code = "invalid_model"] of refused) {
  test(`${name} is refused`, async () => {
    await assert.rejects(openModelFolder(await make()), { name: "KindredError", code, message });
  });
}

test("a file that is truncated anywhere is refused, except in its last padding", async () => {
  const end = Math.max(
    ...[...(await readGgufHeader(await file(TINY))).tensors.values()].map((t) => t.offset + t.byteLength),
  );
  for (let length = 0; length < end; length += length < 1000 ? 7 : 331) {
    await assert.rejects(openModelFolder(await file(TINY.subarray(0, length))), { code: "invalid_model" }, `${length}`);
  }
});

test("damage anywhere in the header is an error of the model or is not noticed, and never a crash", async () => {
  const rng = new SeededRng(7, "damage");
  let refusals = 0;
  for (let round = 0; round < 400; round++) {
    const bytes = Buffer.from(TINY);
    for (let flips = 1 + rng.int(3); flips > 0; flips--) bytes[rng.int(12_000)] = rng.int(256);
    try {
      const folder = await openModelFolder(await file(bytes));
      await readModelTensor(folder, "model.norm.weight");
    } catch (error) {
      refusals++;
      assert.ok(error instanceof KindredError && ["invalid_model", "unsupported"].includes(error.code), String(error));
    }
  }
  assert.ok(refusals > 50, `only ${refusals} of 400`);
});
