/** How a model's files decide what its rows may have and how they end. */
import assert from "node:assert/strict";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { RowEncoder } from "../../../client/data/encode.js";
import type { Example } from "../../../client/data/types.js";
import { type OpenedModel, openModel } from "../../../client/models/open.js";
import { encodingOf, warnOfTruncation } from "../../../client/tasks/encoding.js";
import { asset } from "../../../shared/base/assets.js";
import { silentLog } from "../../../shared/base/log.js";
import { silentProgress } from "../../../shared/base/progress.js";

const tied = asset("test", "fixtures", "llama", "tied");
const { signal } = new AbortController();

let folder: string;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-encoding-"));
});
after(() => rm(folder, { recursive: true, force: true }));

/** The tied model with fields of tokenizer_config.json and config.json. */
async function opened(name: string, tokenizerConfig: object, config: object = {}): Promise<OpenedModel> {
  const path = join(folder, name);
  await cp(tied, path, { recursive: true });
  await writeFile(join(path, "tokenizer_config.json"), JSON.stringify(tokenizerConfig));
  const own = JSON.parse(await readFile(join(tied, "config.json"), "utf8")) as object;
  await writeFile(join(path, "config.json"), JSON.stringify({ ...own, ...config }));
  return openModel(path, { log: silentLog, progress: silentProgress, signal });
}

const text = (content: string): Example => ({ kind: "text", where: "rows.jsonl:7", text: content });
const settings = { maxTokens: 64, endOfText: "auto" } as const;

test("a padding token that the model lacks forbids the rows that have it, and neither the model nor other rows", async () => {
  const model = await opened("padded", { pad_token: "[PAD]" });
  const encoder = new RowEncoder(model.tokenizer, encodingOf(model, settings, silentLog));
  const [row] = await encoder.encode([text("a time [PAD")]);
  assert.ok(row!.tokens.length > 2);
  await assert.rejects(encoder.encode([text("a time"), text("a time [PAD]")]), {
    code: "invalid_data",
    message:
      /^rows\.jsonl:7: the text has the token "\[PAD\]" with the id 128, which the model lacks \(vocab_size 128\); write it otherwise/,
  });
});

test("rows of any kind that lose tokens are counted and warned of, others are not", async () => {
  const model = await opened("cut", {});
  const answer = (prompt: string): Example => ({ kind: "answer", where: "rows.jsonl:1", prompt, completion: " time" });
  const long = "a time ".repeat(64);
  const warned = async (...rows: readonly Example[]): Promise<unknown[]> => {
    const facts: unknown[] = [];
    const encoding = encodingOf(model, { ...settings, endOfText: false }, silentLog);
    const encoder = new RowEncoder(model.tokenizer, encoding);
    await encoder.encode(rows);
    await encoder.encodePrompts([{ where: "rows.jsonl:2", prompt: long }], 8);
    const log = { ...silentLog, warn: (_message: string, fields?: object) => facts.push(fields) };
    warnOfTruncation(encoder, rows.length + 1, encoding, log);
    return facts;
  };
  assert.deepEqual(await warned(text("a time"), answer("a")), [{ rows: "1/3", maxTokens: 64 }]);
  assert.deepEqual(await warned(text(long), answer(long), answer("a")), [{ rows: "3/4", maxTokens: 64 }]);
  const short = new RowEncoder(model.tokenizer, { maxTokens: 64 });
  await short.encode([text("a time")]);
  assert.equal(short.truncated, 0);
});

test("rows end with eos_token, with the first eos_token_id where the model lacks that, and with neither where none is named", async () => {
  const endOf = async (model: OpenedModel, endOfText: boolean | "auto"): Promise<unknown> =>
    encodingOf(model, { ...settings, endOfText }, silentLog).end;
  const named = await opened("named", { eos_token: "</s>" });
  assert.deepEqual(await endOf(named, "auto"), { token: 2, rows: "free answers" });
  assert.deepEqual(await endOf(named, true), { token: 2, rows: "all" });
  assert.equal(await endOf(named, false), undefined);
  const lacking = await opened("lacking", { eos_token: "[END]" }, { eos_token_id: [1, 2] });
  assert.deepEqual(await endOf(lacking, "auto"), { token: 1, rows: "free answers" });
  const none = await opened("none", {}, { eos_token_id: null });
  assert.equal(await endOf(none, "auto"), undefined);
  await assert.rejects(endOf(none, true), { code: "invalid_option", facts: { field: "endOfText" } });
});
