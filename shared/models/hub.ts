/**
 * Fetches a model by its id on the Hugging Face hub, `owner/name` or `owner/name@revision`, once into a cache. It knows the names of
 * the files that a model needs, not their content.
 *
 *     CACHE/models/OWNER--NAME/COMMIT/            a complete model; it gets this name after every file is checked
 *     CACHE/models/OWNER--NAME/COMMIT.partial/    files so far; NAME.part is continued where it ends
 *     CACHE/models/OWNER--NAME/COMMIT.lock        held by the process that fetches
 *     CACHE/models/OWNER--NAME/refs/REVISION      the commit of a revision when it was fetched
 *
 * A revision in the cache is used without a request, so a run can be repeated with the same weights, and offline. To fetch a newer
 * commit, delete its file under refs.
 */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { open, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { downloadFile, HUB_URL, HubApiError, type ListFileEntry, listFiles, modelInfo } from "@huggingface/hub";
import { syncFolder, writeAtomically } from "../base/atomic.js";
import { defaultCache, makeCache } from "../base/cache.js";
import { KindredError, throwIfAborted } from "../base/errors.js";
import { makeFolder } from "../base/folders.js";
import { reasonOf } from "../base/json.js";
import { withLock } from "../base/lock.js";
import { CHAT_TEMPLATE_FILE, CHAT_TEMPLATE_FOLDER } from "./chat-template-files.js";
import { readShardIndex } from "./files.js";

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const REQUIRED = ["config.json", "tokenizer.json"];
const OPTIONAL = [
  "tokenizer_config.json",
  "special_tokens_map.json",
  "added_tokens.json",
  CHAT_TEMPLATE_FILE,
  "generation_config.json",
];
/** Named chat templates. The name is a plain file name. */
const NAMED_TEMPLATE = new RegExp(`^${CHAT_TEMPLATE_FOLDER}/[\\w-][\\w.-]*\\.jinja$`);

/** Tries of a file without a byte of progress before the download fails. */
const TRIES = 5;
/** Doubled after every try. */
const RETRY_DELAY_MS = 1000;

export interface HubProgress {
  readonly file: string;
  /** Over all files that are known to be needed. With shards, the total grows once, after their index was read. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}

export interface HubOptions {
  /** @default KINDRED_CACHE, else XDG_CACHE_HOME/kindred, else ~/.cache/kindred */
  readonly cache?: string;
  /** @default HF_ENDPOINT, else the public hub */
  readonly hubUrl?: string;
  /** For private and gated models. @default HF_TOKEN */
  readonly token?: string;
  readonly progress?: (progress: HubProgress) => void;
  readonly signal?: AbortSignal;
  /** Delay before the second try of a file. @default 1000 */
  readonly retryDelayMs?: number;
}

interface Hub {
  readonly hubUrl: string;
  readonly accessToken?: string;
  readonly fetch: typeof fetch;
}

/** owner/name or owner/name@revision, in the hub's alphabet. */
function parseId(text: string): { name: string; revision: string } | undefined {
  const match = /^(\w[\w.-]*\/\w[\w.-]*)(?:@(\w[\w./-]*))?$/.exec(text);
  return match === null ? undefined : { name: match[1]!, revision: match[2] ?? "main" };
}

/**
 * The local folder of a model, given as a folder or as a hub id. A model is fetched where the cache does not have all of it.
 * @throws {KindredError} `not_found` (no such folder, model or revision, or no access), `unavailable` (the hub cannot be
 *   reached, or the connection ends repeatedly), `checksum_mismatch`, `invalid_model`, `unsupported`, `cancelled`
 */
export async function resolveModel(idOrPath: string, options: HubOptions = {}): Promise<string> {
  const local = resolve(idOrPath);
  const exists = await stat(local).then(
    () => true,
    () => false,
  );
  // openModelFolder reports a path that exists and is no model.
  if (exists) return local;
  const id = parseId(idOrPath);
  if (id === undefined)
    throw new KindredError("not_found", `${idOrPath}: no such folder, and not a hub id (owner/name)`, {
      model: idOrPath,
    });
  return fetchModel(id.name, id.revision, options);
}

async function fetchModel(name: string, revision: string, options: HubOptions): Promise<string> {
  const cache = options.cache ?? defaultCache();
  const home = join(cache, "models", name.replace("/", "--"));
  const ref = join(home, "refs", encodeURIComponent(revision));
  const isCommit = /^[0-9a-f]{40}$/.test(revision);
  const known = isCommit
    ? revision
    : await readFile(ref, "utf8").then(
        (text) => text.trim(),
        () => undefined,
      );
  if (known !== undefined && /^[0-9a-f]{40}$/.test(known)) {
    const folder = join(home, known);
    if (await isFolder(folder)) return folder;
  }

  const hub = hubOf(options);
  try {
    const { sha } = await modelInfo({ ...hub, name, revision, additionalFields: ["sha"] });
    if (typeof sha !== "string" || !/^[0-9a-f]{40}$/.test(sha))
      throw new KindredError("unavailable", `${hub.hubUrl} names no commit for ${name}@${revision}`, { model: name });
    const folder = join(home, sha);
    makeCache(cache);
    const fetchOnce = async () => {
      if (!(await isFolder(folder))) await new Download(hub, name, sha, folder, options).run();
    };
    if (!(await isFolder(folder))) await withLock(`${folder}.lock`, fetchOnce, options.signal);
    await writeAtomically(ref, `${sha}\n`, { access: "umask" });
    return folder;
  } catch (error) {
    throw explain(error, { name, revision, hub, home }, options.signal);
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (info) => info.isDirectory(),
    () => false,
  );
}

function hubOf(options: HubOptions): Hub {
  const hubUrl = (options.hubUrl || process.env.HF_ENDPOINT || HUB_URL).replace(/\/+$/, "");
  if (!/^https?:\/\//.test(hubUrl) || !URL.canParse(hubUrl))
    throw new KindredError("invalid_option", `HF_ENDPOINT must be an http or https address, got ${hubUrl}`);
  const accessToken = options.token ?? process.env.HF_TOKEN;
  // The library has this rule too, but its message does not name the variable.
  if (accessToken && !accessToken.startsWith("hf_"))
    throw new KindredError("invalid_option", "HF_TOKEN must start with hf_");
  const { signal } = options;
  return {
    hubUrl,
    ...(accessToken ? { accessToken } : {}),
    fetch: signal === undefined ? fetch : (url, init) => fetch(url, { ...init, signal }),
  };
}

/** The download of one model's files into a folder. */
class Download {
  private readonly partial: string;
  private doneBytes = 0;
  private totalBytes = 0;

  constructor(
    private readonly hub: Hub,
    private readonly name: string,
    private readonly commit: string,
    private readonly folder: string,
    private readonly options: HubOptions,
  ) {
    this.partial = `${folder}.partial`;
  }

  async run(): Promise<void> {
    const listed = await this.list();
    const entryOf = (file: string): ListFileEntry => {
      const entry = listed.get(file);
      if (entry === undefined) throw this.lacks(file, [...listed.keys()]);
      return entry;
    };
    const weights = listed.has(SINGLE) ? SINGLE : INDEX;
    makeFolder(this.partial);
    await this.fetchAll([
      ...REQUIRED.map(entryOf),
      ...OPTIONAL.flatMap((file) => listed.get(file) ?? []),
      ...[...listed.values()].filter(({ path }) => NAMED_TEMPLATE.test(path)),
      entryOf(weights),
    ]);
    if (weights === INDEX) {
      // readShardIndex checks that the names are plain file names, before any shard is fetched.
      const shards = new Set((await readShardIndex(join(this.partial, INDEX))).values());
      await this.fetchAll([...shards].sort().map(entryOf));
    }
    await syncFolder(this.partial);
    await rename(this.partial, this.folder);
    await syncFolder(join(this.folder, ".."));
  }

  /** The files of the model's folder and of the folder of chat templates, by path. */
  private async list(): Promise<ReadonlyMap<string, ListFileEntry>> {
    const where = { ...this.hub, repo: this.name, revision: this.commit };
    const listed = new Map<string, ListFileEntry>();
    for await (const entry of listFiles(where)) listed.set(entry.path, entry);
    if (listed.has(CHAT_TEMPLATE_FOLDER))
      for await (const entry of listFiles({ ...where, path: CHAT_TEMPLATE_FOLDER })) listed.set(entry.path, entry);
    return new Map([...listed].filter(([, { type }]) => type === "file"));
  }

  private lacks(file: string, names: readonly string[]): KindredError {
    const facts = { model: this.name, file };
    if (file !== INDEX || names.includes(INDEX))
      return new KindredError(
        "invalid_model",
        `${this.name}: the hub has no ${file} of this model; expected that file`,
        facts,
      );
    const other = names.find((name) => /\.(bin|pth?|gguf|onnx|h5|msgpack)$/.test(name));
    return new KindredError(
      "unsupported",
      `${this.name}: the hub has neither ${SINGLE} nor ${INDEX} of this model${other ? ` (but ${other})` : ""}; ` +
        `only safetensors are supported`,
      facts,
    );
  }

  private async fetchAll(entries: readonly ListFileEntry[]): Promise<void> {
    for (const { path, size } of entries) {
      if (!Number.isSafeInteger(size) || size < 0)
        throw new KindredError("unavailable", `${this.hub.hubUrl}: the size of ${path} is ${size}`, { file: path });
      this.totalBytes += size;
    }
    for (const entry of entries) await this.fetchFile(entry);
  }

  /** Fetches one file, continues a partial one, and renames it after size and hash are checked. */
  private async fetchFile(entry: ListFileEntry): Promise<void> {
    const path = join(this.partial, entry.path);
    const before = this.doneBytes;
    const whole = await stat(path).then(
      (info) => info.size === entry.size,
      () => false,
    );
    if (!whole) {
      const part = `${path}.part`;
      makeFolder(dirname(path));
      await this.fill(entry, part, before);
      await checkHash(entry, part, this.name);
      await rename(part, path);
    }
    this.doneBytes = before + entry.size;
    this.report(entry.path);
  }

  private report(file: string): void {
    this.options.progress?.({ file, doneBytes: this.doneBytes, totalBytes: this.totalBytes });
  }

  /** Appends to `part` until it has the file's size. Continues after the last byte when the connection ends. */
  private async fill(entry: ListFileEntry, part: string, before: number): Promise<void> {
    const handle = await open(part, "a");
    try {
      let have = (await handle.stat()).size;
      if (have > entry.size) {
        await handle.truncate(0);
        have = 0;
      }
      let delayMs = this.options.retryDelayMs ?? RETRY_DELAY_MS;
      for (let failures = 0; have < entry.size; ) {
        throwIfAborted(this.options.signal);
        const start = have;
        try {
          // HTTP ranges instead of the xet protocol: every hub and mirror supports them, and a file resumes at any byte.
          const blob = await downloadFile({
            ...this.hub,
            repo: this.name,
            path: entry.path,
            revision: this.commit,
            xet: false,
          });
          if (blob === null) throw this.lacks(entry.path, []);
          for await (const chunk of blob.slice(have).stream() as unknown as AsyncIterable<Uint8Array>) {
            if (have + chunk.byteLength > entry.size)
              throw new Error(`the hub sent more than the file's ${entry.size} bytes`);
            await handle.appendFile(chunk);
            have += chunk.byteLength;
            this.doneBytes = before + have;
            this.report(entry.path);
          }
          if (have < entry.size) throw new Error("the connection ended early");
        } catch (error) {
          throwIfAborted(this.options.signal);
          if (!isWorthRetrying(error)) throw error;
          if (have > start) {
            failures = 0;
            delayMs = this.options.retryDelayMs ?? RETRY_DELAY_MS;
          } else if (++failures >= TRIES)
            throw new KindredError(
              "unavailable",
              `${this.name}: ${entry.path} stopped at ${have} of ${entry.size} bytes (${messageOf(error)}) and did not ` +
                `continue in ${TRIES} tries; the received bytes are kept; run the command again to continue`,
              { model: this.name, file: entry.path, have, size: entry.size },
              error,
            );
          await sleep(delayMs, undefined, { signal: this.options.signal });
          delayMs *= 2;
        }
      }
      await handle.sync();
    } finally {
      await handle.close();
    }
  }
}

/** Checks the hash: SHA-256 for large files, otherwise the SHA-1 of git's blobs. */
async function checkHash(entry: ListFileEntry, path: string, model: string): Promise<void> {
  const expected = entry.lfs?.oid ?? entry.oid;
  if (expected === undefined) return;
  const hash = entry.lfs === undefined ? createHash("sha1").update(`blob ${entry.size}\0`) : createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20 })) hash.update(chunk as Uint8Array);
  const actual = hash.digest("hex");
  if (actual === expected) return;
  // Otherwise the next download would continue the wrong bytes.
  await rm(path, { force: true });
  throw new KindredError(
    "checksum_mismatch",
    `${model}: ${entry.path} has the hash ${actual}, the hub has ${expected}; the file was deleted; run the command again`,
    { model, file: entry.path, expected, actual },
  );
}

function isWorthRetrying(error: unknown): boolean {
  if (error instanceof KindredError) return false;
  if (error instanceof HubApiError) return error.statusCode >= 500 || error.statusCode === 429;
  return true;
}

/** The reason of an error: fetch has it in the cause, and a broken stream may throw a string. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

/** The error for the user: what was tried, and what to do. */
function explain(
  error: unknown,
  { name, revision, hub, home }: { name: string; revision: string; hub: Hub; home: string },
  signal: AbortSignal | undefined,
): KindredError {
  const facts = { model: name, revision, hubUrl: hub.hubUrl };
  if (signal?.aborted)
    return new KindredError("cancelled", `stopped fetching ${name}; run the command again to continue`);
  if (error instanceof KindredError) return error;
  const instead = `without access, download it elsewhere (hf download ${name} --local-dir FOLDER) and give the folder's path`;
  if (error instanceof HubApiError) {
    const status = error.statusCode;
    if (status === 404)
      return new KindredError(
        "not_found",
        `${name}@${revision}: no such folder, and ${hub.hubUrl} has no such model or revision`,
        facts,
        error,
      );
    if (status === 401 || status === 403)
      return new KindredError(
        "not_found",
        `${name}@${revision}: no such folder, and ${hub.hubUrl} refuses it (${status}): there is no such model, or it is ` +
          `private or gated and ${hub.accessToken === undefined ? "HF_TOKEN is not set" : "HF_TOKEN gives no access"}; ${instead}`,
        facts,
        error,
      );
    return new KindredError("unavailable", `${name}: ${hub.hubUrl} answers ${status}; try again later`, facts, error);
  }
  if (error instanceof Error && "syscall" in error)
    return new KindredError("unavailable", `${home}: cannot be written (${reasonOf(error)})`, facts, error);
  return new KindredError(
    "unavailable",
    `${name}: no such folder, not in the cache (${home}), and ${hub.hubUrl} cannot be reached (${messageOf(error)}); ${instead}`,
    facts,
    error,
  );
}
