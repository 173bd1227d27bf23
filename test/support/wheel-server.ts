/** A Python package index on the loopback, with wheels made by hand, and the failures of such a server. */
import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";

export interface ServedWheel {
  readonly file: string;
  readonly content: Buffer;
  /** Hash in the index. @default the true one */
  readonly sha256?: string;
  readonly yanked?: boolean;
}

export class WheelServer {
  /** Each answer with a file ends after this many bytes; undefined: after all. */
  cutAfter: (number | undefined)[] = [];
  html = false;
  ranges = true;
  password: string | undefined;
  /** "page NAME" and "FILE RANGE", in order. */
  readonly requests: string[] = [];

  private constructor(
    private readonly server: Server,
    public wheels: readonly ServedWheel[],
  ) {}

  static async start(wheels: readonly ServedWheel[]): Promise<WheelServer> {
    const server = createServer();
    const self = new WheelServer(server, wheels);
    server.on("request", (request, response) => {
      const { authorization, range } = request.headers;
      const wanted = self.password === undefined ? undefined : `Basic ${btoa(`user:${self.password}`)}`;
      if (authorization !== wanted) return void response.writeHead(401).end();
      const [kind, name = ""] = request.url!.slice(1).split("/");
      if (kind === "simple") {
        self.requests.push(`page ${name}`);
        const [type, text] = self.page(name);
        return void response.writeHead(text === "" ? 404 : 200, { "content-type": type }).end(text);
      }
      self.requests.push(`${name} ${range ?? "whole"}`);
      const content = self.wheels.find(({ file }) => file === name)?.content;
      if (content === undefined) return void response.writeHead(404).end();
      const start = self.ranges && range !== undefined ? Number(/^bytes=(\d+)-$/.exec(range)![1]) : 0;
      if (start > 0 && start >= content.length) return void response.writeHead(416).end();
      const part = content.subarray(start);
      response.writeHead(start > 0 ? 206 : 200, {
        "content-length": part.length,
        ...(start > 0 ? { "content-range": `bytes ${start}-${content.length - 1}/${content.length}` } : {}),
      });
      const cut = self.cutAfter.shift();
      if (cut === undefined) response.end(part);
      else response.write(part.subarray(0, cut), () => setTimeout(() => response.destroy(), 20));
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    return self;
  }

  get origin(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}`;
  }

  get index(): string {
    return `${this.origin}/simple`;
  }

  /** Type and text; no text for an unknown package. */
  private page(name: string): [type: string, text: string] {
    const files = this.wheels.filter(({ file }) => file.split("-")[0]!.replaceAll("_", "-") === name);
    if (files.length === 0) return ["text/plain", ""];
    const hash = ({ sha256, content }: ServedWheel) => sha256 ?? createHash("sha256").update(content).digest("hex");
    if (!this.html) {
      const listed = files.map((wheel) => ({
        filename: wheel.file,
        url: `../../files/${wheel.file}`,
        hashes: { sha256: hash(wheel) },
        size: wheel.content.length,
        yanked: wheel.yanked ?? false,
      }));
      return ["application/vnd.pypi.simple.v1+json", JSON.stringify({ name, files: listed })];
    }
    const links = files.map(
      (wheel) =>
        `<a href="../../files/${wheel.file}#sha256=${hash(wheel)}"${wheel.yanked ? ' data-yanked=""' : ""}>${wheel.file}</a><br/>`,
    );
    return ["text/html", `<!DOCTYPE html><html><body><h1>Links</h1>${links.join("\n")}</body></html>`];
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}
