/** The coordinator's sockets against peers that do not behave: each is a real connection. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { describe, it, type TestContext } from "node:test";
import { type ConnectionOptions, type TLSSocket, connect as tlsConnect } from "node:tls";
import { type Listener, type ListenerOptions, listenAt } from "../../../coordinator/server/listener.js";
import { silentLog } from "../../../shared/base/log.js";
import type { TlsFiles } from "../../../shared/wire/security.js";
import { type CertificateOptions, certificateIn } from "../../support/certificate.js";
import { temporaryFolder } from "../../support/federation.js";

type Shown = Required<Pick<TlsFiles, "cert" | "key">>;

function certificate(options?: CertificateOptions): Shown {
  const folder = temporaryFolder();
  const { cert, key } = certificateIn(folder.path, options);
  const shown = { cert: readFileSync(cert), key: readFileSync(key) };
  folder.remove();
  return shown;
}

interface Opened extends Listener {
  readonly taken: Socket[];
  readonly logged: string[];
  /** Resolves once a line matches. */
  says(pattern: RegExp): Promise<void>;
}

async function opened(t: TestContext, options: Partial<ListenerOptions> = {}): Promise<Opened> {
  const taken: Socket[] = [];
  const logged: string[] = [];
  let told = (): void => undefined;
  const warn = (message: string, fields?: object): void => {
    logged.push(`${message} ${JSON.stringify(fields)}`);
    told();
  };
  const take = (socket: Socket): void => void taken.push(socket);
  const log = { ...silentLog, warn };
  const listener = await listenAt({ listen: "127.0.0.1:0", tls: undefined, log, take, ...options });
  t.after(() => {
    listener.close();
    for (const socket of taken) socket.destroy();
  });
  const says = async (pattern: RegExp): Promise<void> => {
    while (!logged.some((line) => pattern.test(line))) {
      await new Promise<void>((resolve) => {
        told = resolve;
      });
    }
  };
  return { ...listener, taken, logged, says };
}

function dialled(t: TestContext, port: number): Socket {
  const socket = connect(port, "127.0.0.1").on("error", () => undefined);
  t.after(() => socket.destroy());
  return socket;
}

const ended = async (socket: Socket): Promise<void> => {
  socket.resume();
  // Not `once`, which an error ends.
  if (!socket.closed) await new Promise((resolve) => socket.once("close", resolve));
};

describe("a client without a certificate of the authority reaches no handler", () => {
  const DAY_MS = 86_400_000;
  const own = certificate();
  const authority = certificate();
  const stranger = certificate();
  const expired = certificate({ from: Date.UTC(2020, 0, 1), to: Date.UTC(2021, 0, 1) });
  const early = certificate({ from: Date.now() + DAY_MS, to: Date.now() + 2 * DAY_MS });
  const cases: readonly (readonly [string, Shown, Partial<Shown>])[] = [
    ["none", authority, {}],
    ["another authority, with the same names", authority, stranger],
    ["the coordinator's own", authority, own],
    ["expired", expired, expired],
    ["not valid yet", early, early],
  ];

  const secure = (t: TestContext, port: number, options: ConnectionOptions): TLSSocket => {
    const given = { port, host: "127.0.0.1", rejectUnauthorized: false, ALPNProtocols: ["h2"], ...options };
    const socket = tlsConnect(given).on("error", () => undefined);
    t.after(() => socket.destroy());
    return socket;
  };

  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    for (const [what, ca, shown] of cases) {
      it(`${what}, ${maxVersion}`, async (t) => {
        const { port, taken, says } = await opened(t, { tls: { ...own, ca: ca.cert } });
        await ended(secure(t, port, { maxVersion, ...shown }));
        await says(/a handshake failed .*(shows no certificate|is not of the authority in --ca)/);
        assert.equal(taken.length, 0);
      });
    }

    it(`a TLS session that goes on without it, ${maxVersion}`, async (t) => {
      const { port, taken, says } = await opened(t, {
        tls: { ...own, ca: authority.cert },
        take: (socket) => {
          taken.push(socket);
          socket.write("taken");
        },
      });
      const first = secure(t, port, { maxVersion, ...authority });
      const ticket = once(first, "session");
      await once(first, "data");
      const session = (await ticket)[0] as Buffer;
      assert.equal(taken.length, 1);
      const second = secure(t, port, { maxVersion, ...authority, session });
      await once(second, "data");
      assert.equal(second.isSessionReused(), false);
      await ended(secure(t, port, { maxVersion, session }));
      await says(/shows no certificate/);
      assert.equal(taken.length, 2);
    });
  }

  it("TLS before 1.2", async (t) => {
    const { port, taken, says } = await opened(t, { tls: own });
    const old = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" } as const;
    await ended(secure(t, port, old));
    await says(/it has no version of TLS in common/);
    assert.equal(taken.length, 0);
  });
});

describe("connections that say nothing", () => {
  for (const [what, tls] of [
    ["plain text", undefined],
    ["TLS", certificate()],
  ] as const) {
    it(`are ended, ${what}`, async (t) => {
      const { port, taken, says } = await opened(t, { tls, handshakeMs: 50 });
      await ended(dialled(t, port));
      await says(/it says nothing|it did not finish/);
      assert.equal(taken.length, 0);
    });

    it(`end with the listener, ${what}`, async (t) => {
      const listener = await opened(t, { tls, maxConnections: 1 });
      const held = dialled(t, listener.port);
      await once(held, "connect");
      // The next one is dropped, so the first one has been accepted.
      await ended(dialled(t, listener.port));
      await listener.says(/1 connections are open already/);
      listener.close();
      await ended(held);
      assert.equal(listener.taken.length, 0);
    });
  }
});

it("what is taken is not ended by the listener, however long it says nothing more", async (t) => {
  const listener = await opened(t, { handshakeMs: 20 });
  const spoken = dialled(t, listener.port);
  spoken.write("P");
  const silent = dialled(t, listener.port);
  await ended(silent);
  listener.close();
  const [taken] = listener.taken;
  assert.equal(String(taken?.read()), "P");
  taken?.write("still here");
  assert.equal(String((await once(spoken, "data"))[0]), "still here");
});
