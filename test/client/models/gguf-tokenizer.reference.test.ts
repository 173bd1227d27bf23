/** Tokenizers from a GGUF's metadata against llama.cpp: ids of hard texts (test/fixtures/make_gguf_tokenizers.py). */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { tokenizerOf } from "../../../client/models/tokenizer.js";
import { asset } from "../../../shared/base/assets.js";
import type { GgufFile, GgufValue } from "../../../shared/models/gguf.js";
import { ggufTokenizer } from "../../../shared/models/gguf-tokenizer.js";

type Field = string | number | boolean;

interface Case {
  readonly fields: Readonly<Record<string, Field>>;
  readonly bos: boolean;
  /** Per text. */
  readonly ids: readonly (readonly number[])[];
}

interface Reference {
  readonly texts: readonly string[];
  readonly lists: Readonly<Record<string, readonly string[] | readonly number[]>>;
  readonly cases: readonly Case[];
}

const path = join(asset("test", "fixtures"), "gguf-tokenizers", "gguf-tokenizers.json.gz");
const { texts, lists, cases } = JSON.parse(gunzipSync(await readFile(path)).toString("utf8")) as Reference;

function metadataValue(field: Field): GgufValue {
  const list = typeof field === "string" ? lists[field] : undefined;
  if (list === undefined) return field;
  return typeof list[0] === "string" ? (list as string[]) : Float32Array.from(list as number[]);
}

for (const { fields, bos, ids } of cases) {
  const named = Object.entries(fields).filter(([key]) => /\.(model|pre|add_\w+)$/.test(key));
  test(`ids equal llama.cpp's: ${named.map(([key, value]) => `${key} ${value}`).join(", ")}`, async () => {
    const metadata = new Map(Object.entries(fields).map(([key, field]) => [`tokenizer.${key}`, metadataValue(field)]));
    const file: GgufFile = { path: "m.gguf", byteLength: 0, metadata, tensors: new Map() };
    const tokenizer = await tokenizerOf(ggufTokenizer(file).json, "m.gguf");
    assert.deepEqual(tokenizer.leading, bos ? [fields["ggml.bos_token_id"]] : []);
    const encoded = await tokenizer.encode(texts, { specials: false });
    const idsOf = (text: string): string => ids[texts.indexOf(text)]!.join();
    const differing = texts.filter((text, at) => encoded[at]!.ids.join() !== idsOf(text));
    if (fields["ggml.pre"] !== "qwen2") return assert.deepEqual(differing, []);
    // Qwen's own tokenizer.json brings a text into NFC before it is split; llama.cpp does not.
    assert.deepEqual(
      differing,
      texts.filter((text) => idsOf(text) !== idsOf(text.normalize("NFC"))),
    );
    assert.ok(differing.length >= 5);
    assert.ok(texts.every((text, at) => encoded[at]!.ids.join() === idsOf(text.normalize("NFC"))));
  });
}

test("each kind of splitting gives some text other ids than each other kind, so that none stands for another", () => {
  const kinds = cases.filter(({ fields }) => fields["ggml.model"] === "gpt2" && !("ggml.add_bos_token" in fields));
  const distinct = new Map(kinds.map(({ fields, ids }) => [JSON.stringify(ids), fields["ggml.pre"]]));
  assert.deepEqual([...distinct.values()], ["gpt-2", "smollm", "llama3", "qwen2"]); // llama3 and llama-bpe are one
});
