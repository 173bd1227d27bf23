/**
 * Fetching models from a server on the loopback that speaks the hub's routes: listing, redirects to another host for
 * large files, ranges, and the ways in which it fails.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import { encodeSafetensors } from "../../../shared/adapters/safetensors.js";
import { openModelFolder } from "../../../shared/models/files.js";
import { type HubOptions, type HubProgress, resolveModel } from "../../../shared/models/hub.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";

const weights = new Map([["w", { shape: [256, 256], data: new Float32Array(65536).map((_, i) => i) }]]);
const norm = new Map([["norm", { shape: [4], data: Float32Array.of(1, 2, 3, 4) }]]);
const single: Readonly<Record<string, Uint8Array | string>> = {
  "config.json": '{"model_type":"llama"}',
  "tokenizer.json": '{"model":{}}',
  "tokenizer_config.json": "{}",
  "special_tokens_map.json": "{}",
  "added_tokens.json": "{}",
  "chat_template.jinja": "{{ messages }}",
  "additional_chat_templates/tool_use.jinja": "{{ tools }}",
  "additional_chat_templates/README.md": "not needed",
  "generation_config.json": "{}",
  "model.safetensors": encodeSafetensors(weights),
  "README.md": "not needed",
  "pytorch_model.bin": "not needed",
};

/** The behaviour of the server; tests change it. */
interface Behaviour {
  files: Readonly<Record<string, Uint8Array | string>>;
  /** Each answer of the file host with a body ends after so many bytes; undefined: all of it. */
  cutAfter: (number | undefined)[];
  token?: string;
  wrongHash: boolean;
  status: number;
}

let cache: string;
let hub: Server;
let host: Server;
let behaviour: Behaviour;
let requests: string[];

function listen(answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<Server> {
  return new Promise((done) => {
    const server = createServer(answer).listen(0, "127.0.0.1", () => done(server));
  });
}

function urlOf(server: Server): string {
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function send(response: ServerResponse, request: IncomingMessage, bytes: Buffer, cut?: number): void {
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
  const [start, end] = range ? [Number(range[1]), range[2] ? Number(range[2]) + 1 : bytes.length] : [0, bytes.length];
  const part = bytes.subarray(start, Math.min(end, bytes.length));
  response.writeHead(range ? 206 : 200, {
    "content-length": part.length,
    etag: '"etag"',
    ...(range && { "content-range": `bytes ${start}-${start + part.length - 1}/${bytes.length}` }),
  });
  if (cut === undefined || part.length === 1) response.end(part);
  else response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
}

function json(response: ServerResponse, status: number, value: unknown): void {
  response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify(value));
}

function isLarge(file: string): boolean {
  return file.endsWith(".safetensors");
}

/** What the hub lists of a folder: its files, and the folders in it. */
function listing(folder: string): object[] {
  const inside = Object.entries(behaviour.files).filter(([path]) => path.startsWith(folder));
  const folders = inside.flatMap(([path]) => /^(.+?)\//.exec(path.slice(folder.length))?.[1] ?? []);
  const files = inside.filter(([path]) => !path.slice(folder.length).includes("/"));
  return [...new Set(folders)]
    .map((path): object => ({ type: "directory", path, size: 0, oid: "" }))
    .concat(filesListed(files));
}

function filesListed(files: readonly (readonly [string, Uint8Array | string])[]): object[] {
  return files.map(([path, content]) => {
    const bytes = Buffer.from(content);
    const sha1 = createHash("sha1").update(`blob ${bytes.length}\0`).update(bytes).digest("hex");
    const sha256 = createHash("sha256")
      .update(behaviour.wrongHash ? "other" : bytes)
      .digest("hex");
    const lfs = isLarge(path) ? { lfs: { oid: sha256, size: bytes.length, pointerSize: 130 } } : {};
    return { type: "file", path, size: bytes.length, oid: isLarge(path) ? "a".repeat(40) : sha1, ...lfs };
  });
}

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), "kindred-hub-"));
  behaviour = { files: single, cutAfter: [], wrongHash: false, status: 200 };
  requests = [];
  host = await listen((request, response) => {
    const file = request.url!.slice(1);
    assert.equal(request.headers.authorization, undefined, "the token must not follow a redirect to another host");
    requests.push(`${file} ${request.headers.range ?? "whole"}`);
    send(
      response,
      request,
      Buffer.from(behaviour.files[file]!),
      request.headers.range === "bytes=0-0" ? undefined : behaviour.cutAfter.shift(),
    );
  });
  hub = await listen((request, response) => {
    const path = new URL(request.url!, "http://x").pathname;
    requests.push(path);
    if (behaviour.status !== 200) return json(response, behaviour.status, { error: "no" });
    if (behaviour.token !== undefined && request.headers.authorization !== `Bearer ${behaviour.token}`)
      return json(response, 401, { error: "Invalid username or password." });
    if (path === "/api/models/owner/name/revision/main") return json(response, 200, { id: "owner/name", sha: COMMIT });
    const tree = `/api/models/owner/name/tree/${COMMIT}`;
    if (path === tree) return json(response, 200, listing(""));
    if (path.startsWith(`${tree}/`)) return json(response, 200, listing(`${path.slice(tree.length + 1)}/`));
    const file = new RegExp(`^/owner/name/resolve/${COMMIT}/(.*)$`).exec(path)?.[1];
    const content = file === undefined ? undefined : behaviour.files[file];
    if (file === undefined || content === undefined) return json(response, 404, { error: "Repository not found" });
    if (!isLarge(file)) return send(response, request, Buffer.from(content));
    response.writeHead(302, { location: `${urlOf(host)}/${file}`, "x-linked-size": content.length }).end();
  });
});
afterEach(async () => {
  for (const server of [hub, host]) {
    server.closeAllConnections();
    await new Promise((done) => server.close(done));
  }
  await rm(cache, { recursive: true, force: true });
});

function fetchModel(options: HubOptions = {}, id = "owner/name"): Promise<string> {
  return resolveModel(id, { cache, hubUrl: urlOf(hub), retryDelayMs: 1, token: "", ...options });
}

const needed = [
  "added_tokens.json",
  "additional_chat_templates",
  "chat_template.jinja",
  "config.json",
  "generation_config.json",
  "model.safetensors",
  "special_tokens_map.json",
  "tokenizer.json",
  "tokenizer_config.json",
];

test("the needed files of a model are fetched once, and then used without a request", async () => {
  const seen: HubProgress[] = [];
  const folder = await fetchModel({ progress: (progress) => seen.push(progress) });
  assert.equal(folder, join(cache, "models", "owner--name", COMMIT));
  assert.deepEqual((await readdir(folder)).sort(), needed);
  assert.deepEqual(await readdir(join(folder, "additional_chat_templates")), ["tool_use.jinja"]);
  for (const file of [...needed.filter((name) => name in single), "additional_chat_templates/tool_use.jinja"])
    assert.deepEqual(await readFile(join(folder, file)), Buffer.from(single[file]!));
  const last = seen.at(-1)!;
  assert.equal(last.doneBytes, last.totalBytes);
  assert.ok(seen.every(({ doneBytes }, i) => i === 0 || doneBytes >= seen[i - 1]!.doneBytes));

  requests.length = 0;
  assert.equal(await fetchModel(), folder);
  assert.equal(await fetchModel({}, "owner/name@main"), folder);
  assert.equal(await fetchModel({}, `owner/name@${COMMIT}`), folder);
  assert.deepEqual(requests, []);
});

test("a download continues at the byte where a connection ended", async () => {
  const size = single["model.safetensors"]!.length;
  behaviour.cutAfter = [100_000, 50_000];
  const folder = await fetchModel();
  assert.deepEqual(await readFile(join(folder, "model.safetensors")), Buffer.from(single["model.safetensors"]!));
  const ranges = requests.filter((line) => line.startsWith("model.safetensors") && !line.endsWith("bytes=0-0"));
  assert.deepEqual(ranges, [
    "model.safetensors whole",
    `model.safetensors bytes=100000-${size - 1}`,
    `model.safetensors bytes=150000-${size - 1}`,
  ]);
});

test("the next run continues a failed download and asks for the remaining bytes alone", async () => {
  const size = single["model.safetensors"]!.length;
  behaviour.cutAfter = [100_000, 0, 0, 0, 0, 0];
  await assert.rejects(fetchModel(), {
    code: "unavailable",
    message: new RegExp(`model\\.safetensors stopped at 100000 of ${size} bytes .* run the command again to continue`),
  });
  assert.deepEqual(await readdir(join(cache, "models", "owner--name")), [`${COMMIT}.partial`]);
  behaviour.cutAfter = [];
  requests.length = 0;
  const folder = await fetchModel();
  assert.deepEqual((await readdir(folder)).sort(), needed);
  const files = requests.filter((line) => !line.includes("/api/") && !line.endsWith("bytes=0-0"));
  assert.deepEqual(files, [
    // The redirecting request of the probe, then that of the rest.
    `/owner/name/resolve/${COMMIT}/model.safetensors`,
    `/owner/name/resolve/${COMMIT}/model.safetensors`,
    `model.safetensors bytes=100000-${size - 1}`,
  ]);
});

test("shards are found through their index", async () => {
  const map = { w: "model-00001-of-00002.safetensors", norm: "model-00002-of-00002.safetensors" };
  const { "model.safetensors": _, ...rest } = single;
  behaviour.files = {
    ...rest,
    "model.safetensors.index.json": JSON.stringify({ weight_map: map }),
    [map.w]: encodeSafetensors(weights),
    [map.norm]: encodeSafetensors(norm),
    "unused.safetensors": "x",
  };
  const folder = await fetchModel();
  assert.deepEqual([...(await openModelFolder(folder)).tensors.keys()], ["w", "norm"]);
  assert.ok(!(await readdir(folder)).includes("unused.safetensors"));
});

test("an index with a path outside its folder is refused before any shard is fetched", async () => {
  const { "model.safetensors": _, ...rest } = single;
  const weight_map = { w: "../../../outside.safetensors" };
  behaviour.files = { ...rest, "model.safetensors.index.json": JSON.stringify({ weight_map }) };
  await assert.rejects(fetchModel(), {
    code: "invalid_model",
    message: /outside\.safetensors", which is not the name/,
  });
});

test("a file whose hash is not the hub's is refused and deleted, and the next run fetches it anew", async () => {
  behaviour.wrongHash = true;
  await assert.rejects(fetchModel(), { code: "checksum_mismatch", message: /model\.safetensors has the hash/ });
  assert.deepEqual((await readdir(join(cache, "models", "owner--name", `${COMMIT}.partial`))).sort(), [
    ...needed.filter((name) => name !== "model.safetensors"),
  ]);
  behaviour.wrongHash = false;
  assert.deepEqual((await readdir(await fetchModel())).sort(), needed);
});

test("damage of a partial file is noticed after it is continued", async () => {
  behaviour.cutAfter = [100_000, 0, 0, 0, 0, 0];
  await assert.rejects(fetchModel(), { code: "unavailable" });
  const part = join(cache, "models", "owner--name", `${COMMIT}.partial`, "model.safetensors.part");
  await writeFile(part, Buffer.alloc(100_000, 1));
  behaviour.cutAfter = [];
  await assert.rejects(fetchModel(), { code: "checksum_mismatch" });
  await fetchModel();
});

test("two simultaneous fetches of one model both succeed", async () => {
  const [a, b] = await Promise.all([fetchModel(), fetchModel()]);
  assert.equal(a, b);
  assert.deepEqual((await readdir(a)).sort(), needed);
  assert.equal(requests.filter((line) => line === "model.safetensors whole").length, 1);
});

test("the error for a private model says that a token is needed", async () => {
  behaviour.token = "hf_secret";
  await assert.rejects(fetchModel({ token: "" }), {
    code: "not_found",
    message: /refuses it \(401\).*HF_TOKEN is not set/,
  });
  await assert.rejects(fetchModel({ token: "hf_wrong" }), (error: Error) => {
    assert.match(error.message, /HF_TOKEN gives no access/);
    assert.ok(!error.message.includes("hf_wrong"), "a token is never shown");
    return true;
  });
  await fetchModel({ token: "hf_secret" });
});

test("without a network the error says what was tried and what to do", async () => {
  const hubUrl = urlOf(hub);
  hub.closeAllConnections();
  await new Promise((done) => hub.close(done));
  await assert.rejects(resolveModel("owner/name", { cache, hubUrl, token: "" }), {
    code: "unavailable",
    message:
      /owner\/name: no such folder, not in the cache .*cannot be reached \(ECONNREFUSED\).*give the folder's path/,
  });
  hub = await listen(() => {});
});

test("an unknown model is not found, and the error for a failing hub says to try again later", async () => {
  await assert.rejects(fetchModel({}, "owner/other"), { code: "not_found", message: /has no such model or revision/ });
  behaviour.status = 503;
  await assert.rejects(fetchModel(), { code: "unavailable", message: /answers 503; try again later/ });
});

test("the error for a model without safetensors or tokenizer names the missing file", async () => {
  const { "model.safetensors": _, ...pickle } = single;
  behaviour.files = pickle;
  await assert.rejects(fetchModel(), { code: "unsupported", message: /neither .* \(but pytorch_model\.bin\)/ });
  const { "tokenizer.json": __, ...silent } = single;
  behaviour.files = silent;
  await assert.rejects(fetchModel(), { code: "invalid_model", message: /has no tokenizer\.json of this model/ });
});

test("a stopped download has its own error and keeps the received bytes", async () => {
  const controller = new AbortController();
  const progress = ({ file }: HubProgress) => void (file === "model.safetensors" && controller.abort());
  await assert.rejects(fetchModel({ signal: controller.signal, progress }), { code: "cancelled" });
  assert.deepEqual((await readdir(await fetchModel())).sort(), needed);
});

test("a folder is used as it is, and a text that is neither a folder nor an id is not found", async () => {
  assert.equal(await fetchModel({}, cache), cache);
  for (const id of ["./none", "/none/at/all", "name", "a/b/c", "../up", "owner/name@"])
    await assert.rejects(fetchModel({}, id), { code: "not_found", message: /no such folder, and not a hub id/ });
  assert.deepEqual(requests, []);
});

test("the errors for wrong options name them", async () => {
  await assert.rejects(fetchModel({ token: "secret" }), {
    code: "invalid_option",
    message: "HF_TOKEN must start with hf_",
  });
  await assert.rejects(fetchModel({ hubUrl: "ftp://x" }), { code: "invalid_option", message: /HF_ENDPOINT/ });
});
