/** Rows as transformers and TRL encode them, and their losses there. Fixtures: test/fixtures/make_rows.py. */
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { RowEncoder } from "../../../client/data/encode.js";
import { readAllRows } from "../../../client/data/readers.js";
import { openModel } from "../../../client/models/open.js";
import { encodingOf } from "../../../client/tasks/encoding.js";
import { evaluateFile } from "../../../client/tasks/evaluate.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";
import { DEFAULT_RUNTIME } from "../../../shared/runtimes/types.js";

interface Losses {
  readonly examples: number;
  readonly tokens: number;
  readonly loss: number;
}

interface Expected {
  readonly rows: readonly { readonly tokens: readonly number[]; readonly scored: readonly number[] }[];
  readonly base: Losses;
  readonly adapter: Losses;
}

const fixture = (...parts: string[]): string => asset("test", "fixtures", ...parts);
const expected = JSON.parse(await readFile(fixture("rows", "expected.json"), "utf8")) as Record<string, Expected>;
const data = fixture("rows", "rows.jsonl");
const context = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
const settings = { maxTokens: 64, endOfText: "auto" } as const;
const folder = await mkdtemp(join(tmpdir(), "kindred-rows-"));
after(() => rm(folder, { recursive: true }));

/** The tied model with another tokenizer. */
async function modelOf(kind: string): Promise<string> {
  const path = join(folder, kind);
  await cp(fixture("llama", "tied"), path, { recursive: true });
  await writeFile(join(path, "tokenizer.json"), await readFile(fixture("rows", `${kind}.json`)));
  return path;
}

for (const [kind, { rows, ...losses }] of Object.entries(expected)) {
  test(`rows have the tokens and the scored places of transformers, with a tokenizer of the kind ${kind}`, async () => {
    const model = await openModel(await modelOf(kind), context);
    const encoder = new RowEncoder(model.tokenizer, encodingOf(model, settings, silentLog));
    const encoded = await encoder.encode(await readAllRows(data));
    assert.deepEqual(
      encoded.map(({ tokens, scored }) => ({ tokens: [...tokens], scored: [...scored] })),
      rows,
    );
  });

  test(`their loss is that of transformers and PEFT, with a tokenizer of the kind ${kind}`, async () => {
    const job = {
      model: await modelOf(kind),
      quantization: "none",
      data,
      ...settings,
      format: {},
      runtime: DEFAULT_RUNTIME,
    } as const;
    for (const [name, want] of Object.entries(losses)) {
      const tuned = name === "adapter" ? { adapter: fixture("peft", "adapters", "all") } : {};
      const got = await evaluateFile({ ...job, ...tuned }, context);
      assert.deepEqual([got.examples, got.tokens], [want.examples, want.tokens]);
      assert.ok(Math.abs(got.loss - want.loss) < 1e-4 * want.loss, `${name}: ${got.loss}, not ${want.loss}`);
    }
  });
}

test("the kinds differ in the tokens of a completion, so that none stands for another", () => {
  const tokens = Object.values(expected).map(({ rows }) => JSON.stringify(rows));
  assert.equal(new Set(tokens).size, 3);
});
