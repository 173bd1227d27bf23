/**
 * Wheels of a Python package index, by the Simple API (PEP 691 JSON, else PEP 503 HTML): the one that every mirror speaks.
 * It knows names, versions and platform tags, not what is in a wheel.
 */
import { KindredError } from "../../base/errors.js";
import { isObject, reasonOf } from "../../base/json.js";
import { compareVersions, isRelease, normalised, type Requirement, satisfies } from "./versions.js";

export const PUBLIC_INDEX = "https://pypi.org/simple";

/** tensorflow's page, one of the longest, has 0.9 MB. */
const MAX_PAGE_BYTES = 32 * 2 ** 20;
const PAGE_TIMEOUT_MS = 60_000;

export interface Wheel {
  readonly name: string;
  readonly version: string;
  /** A plain file name. */
  readonly file: string;
  readonly url: string;
  readonly sha256: string;
  /** Absent where the index does not say. */
  readonly bytes?: number;
  /** Platform tags: manylinux_2_28_x86_64, ... */
  readonly platforms: readonly string[];
}

/** What wheels are chosen for: Linux with glibc. */
export interface Platform {
  readonly architecture: "x86_64" | "aarch64";
  /** 36 of glibc 2.36. */
  readonly glibc: number;
}

/**
 * The machine at hand.
 * @throws {KindredError} `unsupported` on other systems than Linux with glibc on x64 or arm64
 */
export function hostPlatform(what: string): Platform {
  const { platform, arch } = process;
  const architecture = arch === "x64" ? "x86_64" : arch === "arm64" ? "aarch64" : undefined;
  const { header } = process.report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const glibc = /^2\.(\d+)$/.exec(header.glibcVersionRuntime ?? "")?.[1];
  if (platform !== "linux" || architecture === undefined || glibc === undefined)
    throw new KindredError(
      "unsupported",
      `${what} can be added on Linux (x64 or arm64, glibc) alone; this is ${platform} ${arch}` +
        `${platform === "linux" && glibc === undefined ? " without glibc" : ""}. The runtime onnx works here without it, ` +
        `on the GPU too where it has webgpu`,
      { platform, arch },
    );
  return { architecture, glibc: Number(glibc) };
}

/** Least minor version of glibc that a tag without one in its name means (PEP 600). */
const LEGACY: Readonly<Record<string, number>> = { manylinux1: 5, manylinux2010: 12, manylinux2014: 17 };

function fits(tag: string, { architecture, glibc }: Platform): boolean {
  if (!tag.endsWith(`_${architecture}`)) return false;
  const base = tag.slice(0, -architecture.length - 1);
  const needed = LEGACY[base] ?? Number(/^manylinux_2_(\d+)$/.exec(base)?.[1] ?? Number.NaN);
  return needed <= glibc;
}

/** An address without its password, for messages. */
const shown = (url: URL): string => `${url.origin}${url.pathname}`;

export interface IndexOptions {
  /** Root of the Simple API. @default PIP_INDEX_URL, else the public index */
  readonly index?: string;
  readonly signal?: AbortSignal;
}

export class PackageIndex {
  /** Without its password. */
  readonly name: string;
  private readonly root: URL;
  private readonly authorization: string | undefined;

  /** @throws {KindredError} `invalid_option` where the address is none */
  constructor(private readonly options: IndexOptions = {}) {
    const given = options.index || process.env.PIP_INDEX_URL || PUBLIC_INDEX;
    if (!/^https?:\/\//.test(given) || !URL.canParse(given))
      throw new KindredError(
        "invalid_option",
        `${options.index ? "--index" : "PIP_INDEX_URL"} must be the http or https address of a package index, got ${given}`,
      );
    this.root = new URL(given.replace(/\/*$/, "/"));
    const { username, password } = this.root;
    // fetch refuses addresses with a password in them.
    this.authorization =
      username === ""
        ? undefined
        : `Basic ${Buffer.from(`${decodeURIComponent(username)}:${decodeURIComponent(password)}`).toString("base64")}`;
    this.root.username = "";
    this.root.password = "";
    this.name = shown(this.root);
  }

  /** Headers for a request: the password goes to the index's own host alone. */
  headersFor(url: string): Record<string, string> {
    return this.authorization !== undefined && new URL(url).origin === this.root.origin
      ? { authorization: this.authorization }
      : {};
  }

  /**
   * The newest wheel that fulfils a requirement on a platform.
   * @throws {KindredError} `not_found` (no such package, or no such wheel), `unavailable` (no answer), `invalid_message`
   */
  async newest(requirement: Requirement, platform: Platform): Promise<Wheel> {
    const wheels = await this.wheels(requirement.name);
    const right = wheels.filter(({ version }) => isRelease(version) && satisfies(version, requirement));
    const fitting = right.filter(({ platforms }) => platforms.some((tag) => fits(tag, platform)));
    const [best] = fitting.sort((a, b) => compareVersions(b.version, a.version) || (a.file < b.file ? -1 : 1));
    if (best !== undefined) return best;
    const wanted = requirement.specifiers.map(({ operator, version }) => `${operator}${version}`).join(",");
    throw new KindredError(
      "not_found",
      `${this.name} has no wheel of ${requirement.name}${wanted} for ${platform.architecture} and glibc 2.${platform.glibc}` +
        `${right.length > 0 ? `, only ${right.at(-1)!.platforms.join(", ")} and the like` : ""}`,
      { name: requirement.name, index: this.name },
    );
  }

  private async wheels(name: string): Promise<Wheel[]> {
    const url = new URL(`${name}/`, this.root);
    const { type, text, base } = await this.page(url, name);
    try {
      return type.includes("json") ? fromJson(name, text, base) : fromHtml(name, text, base);
    } catch (error) {
      throw new KindredError(
        "invalid_message",
        `${shown(url)} is not a page of a package index (${(error as Error).message})`,
        { url: shown(url) },
        error,
      );
    }
  }

  private async page(url: URL, name: string): Promise<{ type: string; text: string; base: string }> {
    const timeout = AbortSignal.timeout(PAGE_TIMEOUT_MS);
    const { signal } = this.options;
    let response: Response;
    try {
      response = await fetch(url, {
        headers: {
          ...this.headersFor(url.href),
          accept: "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1",
        },
        signal: signal === undefined ? timeout : AbortSignal.any([signal, timeout]),
      });
      if (response.ok) {
        const text = await bounded(response);
        return { type: response.headers.get("content-type") ?? "", text, base: response.url };
      }
    } catch (error) {
      if (signal?.aborted) throw new KindredError("cancelled", "stopped");
      if (error instanceof KindredError) throw error;
      throw new KindredError(
        "unavailable",
        `${shown(url)} cannot be reached (${networkReason(error)}); a mirror is named by --index or PIP_INDEX_URL`,
        { url: shown(url) },
        error,
      );
    }
    const { status } = response;
    if (status === 404)
      throw new KindredError("not_found", `${this.name} has no package ${name}`, { name, index: this.name });
    throw new KindredError("unavailable", `${shown(url)} answers ${status}`, { url: shown(url), status });
  }
}

/** fetch hides the reason in the cause. */
export function networkReason(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return error.cause instanceof Error ? reasonOf(error.cause) : error.message;
}

async function bounded(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body as unknown as AsyncIterable<Uint8Array>) {
    bytes += chunk.byteLength;
    if (bytes > MAX_PAGE_BYTES)
      throw new KindredError("too_large", `${shown(new URL(response.url))}: more than ${MAX_PAGE_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** name-version(-build)?-python-abi-platform.whl (PEP 427). */
const WHEEL = /^([\w.]+)-([\w.!+]+)(?:-\d[\w.]*)?-[\w.]+-[\w.]+-([\w.]+)\.whl$/;

/** A file as a wheel of the package; undefined where it is none, has no SHA-256, or was withdrawn. */
function wheelOf(name: string, file: string, url: string, sha256: unknown, bytes?: unknown): Wheel | undefined {
  const match = WHEEL.exec(file);
  if (match === null || normalised(match[1]!) !== name) return undefined;
  if (typeof sha256 !== "string" || !/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  if (!/^https?:$/.test(new URL(url).protocol)) return undefined;
  const size = Number.isSafeInteger(bytes) && (bytes as number) > 0 ? { bytes: bytes as number } : {};
  return { name, version: match[2]!, file, url, sha256, platforms: match[3]!.split("."), ...size };
}

function fromJson(name: string, text: string, base: string): Wheel[] {
  const page: unknown = JSON.parse(text);
  if (!isObject(page) || !Array.isArray(page.files)) throw new Error("it lists no files");
  return page.files.flatMap((file: unknown) => {
    if (!isObject(file) || typeof file.filename !== "string" || typeof file.url !== "string") return [];
    if (file.yanked !== undefined && file.yanked !== false) return [];
    const sha256 = isObject(file.hashes) ? file.hashes.sha256 : undefined;
    return wheelOf(name, file.filename, new URL(file.url, base).href, sha256, file.size) ?? [];
  });
}

function fromHtml(name: string, text: string, base: string): Wheel[] {
  const links = [...text.matchAll(/<a\s([^>]*)>([^<]*)<\/a>/gi)];
  if (links.length === 0) throw new Error("it has no links");
  return links.flatMap(([, attributes = "", label = ""]) => {
    const href = /\bhref\s*=\s*["']([^"']*)["']/i.exec(attributes)?.[1]?.replaceAll("&amp;", "&");
    if (href === undefined || /\bdata-yanked\b/i.test(attributes)) return [];
    const url = new URL(href, base);
    const sha256 = /^#sha256=([0-9a-f]{64})$/.exec(url.hash)?.[1];
    url.hash = "";
    return wheelOf(name, label.trim(), url.href, sha256) ?? [];
  });
}
