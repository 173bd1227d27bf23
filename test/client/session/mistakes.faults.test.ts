/** Connections that can never work: the client ends, and both sides say why. Each is tried against real sockets. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createServer as createWebServer } from "node:http";
import { createServer as createSecureWebServer } from "node:https";
import { type AddressInfo, createServer, type Server } from "node:net";
import { after, describe, it } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { connectionMistake } from "../../../client/outbox/probe.js";
import { KindredError } from "../../../shared/base/errors.js";
import { silentLog } from "../../../shared/base/log.js";
import type { SecurityOptions } from "../../../shared/wire/security.js";
import { type CertificateOptions, certificateIn } from "../../support/certificate.js";
import { clientOf, coordinatorAt, temporaryFolder } from "../../support/federation.js";

const folders: { remove(): void }[] = [];
after(() => {
  for (const folder of folders) folder.remove();
});

const madeFolder = (): string => {
  const folder = temporaryFolder();
  folders.push(folder);
  return folder.path;
};
const certificate = (options?: CertificateOptions) => certificateIn(madeFolder(), options);

/** By name: Node warns of an IP address as TLS server name. */
const byName = (address: string): string => address.replace("127.0.0.1", "localhost");

async function endOf(address: string, security: SecurityOptions): Promise<string> {
  const client = clientOf(byName(address), "ada", { security });
  const error = await client.end.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  assert.ok(error instanceof KindredError && error.code === "invalid_option", String(error));
  return error.message;
}

const DAY_MS = 86_400_000;
const good = certificate();
const elsewhere = certificate({ name: "harbour.example" });
const stranger = certificate();
const expired = certificate({ from: Date.UTC(2020, 0, 1), to: Date.UTC(2021, 0, 2) });
const early = certificate({ from: Date.now() + DAY_MS, to: Date.now() + 2 * DAY_MS });

interface Mistake {
  readonly what: string;
  readonly coordinator?: SecurityOptions;
  readonly client?: SecurityOptions;
  /** In the client's error. */
  readonly says: RegExp;
  /** In the coordinator's log. */
  readonly logs: RegExp;
}

const MISTAKES: readonly Mistake[] = [
  {
    what: "a certificate for another host",
    coordinator: elsewhere,
    client: { ca: elsewhere.cert },
    says: /its certificate is for harbour\.example, not localhost; dial it by a name of its certificate/,
    logs: /closed the connection; it may not trust/,
  },
  {
    what: "another authority",
    coordinator: good,
    client: { ca: stranger.cert },
    says: /its certificate is not of the authority in .*cert\.pem \(\w+\); give the certificate of its authority as --ca/,
    logs: /closed the connection; it may not trust/,
  },
  {
    what: "the authorities of the system",
    coordinator: good,
    client: { tls: true },
    says: /its certificate is not of the authorities that Node trusts/,
    logs: /closed the connection; it may not trust/,
  },
  {
    what: "an expired certificate",
    coordinator: expired,
    client: { ca: expired.cert },
    says: /its certificate expired on 2021-01-02; give the coordinator a new one/,
    logs: /closed the connection; it may not trust/,
  },
  {
    what: "a certificate of tomorrow",
    coordinator: early,
    client: { ca: early.cert },
    says: /its certificate is valid from \d{4}-\d\d-\d\d on; set the clock/,
    logs: /closed the connection; it may not trust/,
  },
  {
    what: "no certificate of the client where one is asked for",
    coordinator: { ...good, ca: stranger.cert },
    client: { ca: good.cert },
    says: /it asks this client for a certificate: give --cert and --key/,
    logs: /it shows no certificate/,
  },
  {
    what: "a client's certificate of another authority",
    coordinator: { ...good, ca: stranger.cert },
    client: { ca: good.cert, ...elsewhere },
    says: /it refuses the certificate of this client, .*cert\.pem/,
    logs: /its certificate is not of the authority in --ca/,
  },
  {
    what: "plain text to TLS",
    coordinator: good,
    says: /it speaks TLS: give --ca/,
    logs: /it speaks plain text, and this coordinator speaks TLS/,
  },
  {
    what: "TLS to plain text",
    client: { ca: good.cert },
    says: /it speaks no TLS: start the coordinator with --cert and --key/,
    logs: /it speaks TLS, and this coordinator was started without/,
  },
];

describe("a client ends, and both sides say why, with", { concurrency: true }, () => {
  for (const { what, coordinator: security = {}, client = {}, says, logs } of MISTAKES) {
    it(what, async (t) => {
      const logged: string[] = [];
      const warn = (message: string, fields?: object): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
      const coordinator = await coordinatorAt(madeFolder(), { security, log: { ...silentLog, warn } });
      t.after(() => coordinator.close());
      assert.match(await endOf(coordinator.address, client), says);
      while (!logged.some((line) => logs.test(line))) await sleep(10, undefined, { signal: t.signal });
      for (const line of logged)
        assert.match(line, /^a handshake failed .*"from":"(::1|127\.0\.0\.1|::ffff:127\.0\.0\.1)"/);
    });
  }

  for (const [what, server, client, says] of [
    ["a web server", createWebServer(), {}, /it speaks no HTTP\/2: it is no coordinator of Kindred; check the port/],
    [
      "a web server with TLS",
      createSecureWebServer({ cert: readFileSync(good.cert), key: readFileSync(good.key) }),
      { ca: good.cert },
      /it speaks TLS, but no HTTP\/2: it is no coordinator of Kindred/,
    ],
  ] as const satisfies readonly (readonly [string, Server, SecurityOptions, RegExp])[]) {
    it(what, async (t) => {
      await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
      t.after(() => server.close());
      assert.match(await endOf(`localhost:${(server.address() as AddressInfo).port}`, client), says);
    });
  }
});

it("a frame's header that comes in two pieces is no mistake, a few bytes that begin none are", async (t) => {
  const settings = Buffer.from("000000040000000000", "hex");
  let pieces: readonly Buffer[] = [settings.subarray(0, 4), settings.subarray(4)];
  const server = createServer(async (socket) => {
    socket.on("error", () => undefined).setNoDelay();
    await new Promise((resolve) => socket.once("data", resolve));
    for (const piece of pieces) {
      await new Promise((resolve) => socket.write(piece, resolve));
      await sleep(30);
    }
    socket.end();
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  t.after(() => server.close());
  const address = `localhost:${(server.address() as AddressInfo).port}`;
  assert.equal(await connectionMistake(address, {}, t.signal), undefined);
  pieces = [Buffer.from("hello")];
  assert.match((await connectionMistake(address, {}, t.signal))?.message ?? "", /^it speaks no HTTP\/2/);
});
