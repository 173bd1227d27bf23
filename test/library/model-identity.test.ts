/** Clients whose models differ in one part are refused at enrolment, where the part gives their numbers another meaning. */
import assert from "node:assert/strict";
import { cp, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { DEMO_MODEL, type StartClientOptions, startClient, startCoordinator } from "../../index.js";
import { temporaryFolder } from "../support/federation.js";

type Json = Readonly<Record<string, unknown>>;

/** A copy of the demo's model with fields of one file replaced. */
async function copy(name: string, file: string, fields: Json): Promise<string> {
  const path = join(folder.path, name);
  await cp(DEMO_MODEL, path, { recursive: true });
  const json = JSON.parse(await readFile(join(path, file), "utf8")) as Json;
  await writeFile(join(path, file), JSON.stringify({ ...json, ...fields }));
  return path;
}

const TEMPLATE = "{% for m in messages %}{{ m.role }} {{ m.content }}{{ eos_token }} {% endfor %}";
const chats = ["attic", "cellar", "hall"].map((room) => ({
  messages: [
    { role: "user", content: `a lamp in the ${room} is broken` },
    { role: "assistant", content: "the lamp desk" },
  ],
}));
const texts = ["a lamp is broken", "the hall is dark", "a lamp is in the attic"];
const answers = texts.map((prompt) => ({ prompt, completion: " the lamp desk" }));
const classes = texts.map((prompt) => ({ prompt, completion: " lamp", choices: [" lamp", " hall"] }));

const folder = temporaryFolder();
const stop = new AbortController();
const enrolled = new Map<string, () => void>();
let coordinator: Awaited<ReturnType<typeof startCoordinator>>;
before(async () => {
  const onEvent = (event: { readonly type: string; readonly client?: string }): void => {
    if (event.type === "client-enrolled") enrolled.get(event.client!)?.();
  };
  coordinator = await startCoordinator({ minClients: 9, model: DEMO_MODEL }, { onEvent });
});
after(async () => {
  stop.abort();
  coordinator.abort();
  await coordinator.result.catch(() => undefined);
  folder.remove();
});

/** Resolves once the client is enrolled. Rejects with its refusal. */
async function enrol(
  name: string,
  model: string,
  rows: readonly (string | object)[],
  options: Pick<StartClientOptions, "endOfText"> = {},
): Promise<void> {
  const data = { train: rows, validation: rows, test: rows } as StartClientOptions["data"];
  const admitted = new Promise<void>((resolve) => enrolled.set(name, resolve));
  const { address } = coordinator;
  const client = await startClient({ coordinator: address, name, model, data, signal: stop.signal, ...options });
  await Promise.race([admitted, client.result]);
  client.result.catch(() => undefined); // it is stopped at the end
}

test("a client with another tokenizer is refused", async () => {
  const model = await copy("other tokenizer", "tokenizer.json", { normalizer: { type: "NFKD" } });
  await assert.rejects(enrol("alice", model, texts), {
    code: "model_mismatch",
    message:
      /^client alice has the tokenizer [0-9a-f]{64}, the run [0-9a-f]{64}: the same token ids .* give all clients the same tokenizer\.json, and/,
  });
});

test("a client whose tokenizer differs in what changes no ids is admitted", async () => {
  await enrol("decoder", await copy("decoder", "tokenizer.json", { decoder: { type: "Fuse" }, padding: null }), texts);
});

test("a chat template matters among the clients with rows of messages", async () => {
  const config = "tokenizer_config.json";
  const first = await copy("first", config, { chat_template: TEMPLATE });
  const other = await copy("other", config, { chat_template: TEMPLATE.replace("{{ m.role }}", "{{ m.role }}:") });
  const otherEnd = await copy("other end", config, { chat_template: TEMPLATE, eos_token: "<s>" });
  const otherMask = await copy("other mask", config, { chat_template: TEMPLATE, mask_token: "<s>" });
  await enrol("without", other, texts);
  await enrol("first", first, chats);
  await enrol("without, later", other, texts);
  await enrol("a token that the template does not write", otherMask, chats);
  for (const [name, model] of Object.entries({ other, "other end": otherEnd }))
    await assert.rejects(enrol(name, model, chats), {
      code: "model_mismatch",
      message: new RegExp(
        `^client ${name} has the chat template [0-9a-f]{64}, the run [0-9a-f]{64}: the same messages`,
      ),
    });
});

test("the end of rows matters among the clients with rows that it changes", async () => {
  const otherEnd = await copy("other end of text", "tokenizer_config.json", { eos_token: "<s>" });
  await enrol("ends", DEMO_MODEL, answers);
  await enrol("classes, to which auto appends nothing", otherEnd, classes);
  await enrol("classes, none ends", DEMO_MODEL, classes, { endOfText: false });
  const refused = (name: string, rows: string, theirs: string, ours: string) => ({
    code: "model_mismatch",
    message: new RegExp(
      `^client ${name} has the end-of-text token of ${rows} ${theirs}, the run ${ours}: .* the same --end-of-text and`,
    ),
  });
  await assert.rejects(enrol("another", otherEnd, answers), refused("another", "free answers", "1", "2"));
  const none = enrol("nothing", DEMO_MODEL, answers, { endOfText: false });
  await assert.rejects(none, refused("nothing", "free answers", "none", "2"));
  const all = enrol("all", DEMO_MODEL, classes, { endOfText: true });
  await assert.rejects(all, refused("all", "other rows", "2", "none"));
});
