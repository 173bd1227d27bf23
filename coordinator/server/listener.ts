/**
 * The coordinator's sockets: they listen, do TLS, and hand connections to gRPC, which itself would say nothing of a handshake that
 * failed. Connections that say nothing are ended here, and their number is bounded. They know nothing of calls.
 */
import { lookup } from "node:dns/promises";
import { createServer, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TLSSocket } from "node:tls";
import type { Logger } from "../../shared/base/log.js";
import { parseAddress } from "../../shared/wire/address.js";
import type { TlsFiles } from "../../shared/wire/security.js";
import { HandshakeLog } from "./handshakes.js";

export interface ListenerOptions {
  /** HOST:PORT; port 0 lets the system choose. All addresses of the host are listened at. */
  readonly listen: string;
  /** Nothing: plain text. With `ca` clients must show a certificate. */
  readonly tls: TlsFiles | undefined;
  readonly log: Logger;
  /** Takes a connection whose handshake is done. */
  readonly take: (connection: Socket) => void;
  /** Time for a handshake; in plain text, for the first byte. Milliseconds. @default 20_000 */
  readonly handshakeMs?: number;
  /** Connections that may be open at each address. @default 12_000 */
  readonly maxConnections?: number;
}

const HANDSHAKE_MS = 20_000;
/** More than the 10,000 clients that a run may have, and few enough that a flood leaves files to the state of a process with 16,384. */
const MAX_CONNECTIONS = 12_000;

export interface Listener {
  readonly port: number;
  /** Takes no further connections, and ends those whose handshake is not done. The others stay. */
  close(): void;
}

/** What the sockets of one listener share. */
interface Door extends Required<Omit<ListenerOptions, "listen">> {
  readonly failures: HandshakeLog;
  /** Connections that gRPC does not hold yet. */
  readonly young: Set<Socket>;
}

/** @throws the error of the first address, where none can be listened at */
export async function listenAt(options: ListenerOptions): Promise<Listener> {
  const { host, port } = parseAddress(options.listen);
  const failures = new HandshakeLog(options.log);
  const young = new Set<Socket>();
  const { handshakeMs = HANDSHAKE_MS, maxConnections = MAX_CONNECTIONS } = options;
  const door = { ...options, handshakeMs, maxConnections, failures, young };
  const servers: Server[] = [];
  let bound = port;
  let problem: unknown;
  const addresses = new Set((await lookup(host, { all: true })).map(({ address }) => address));
  for (const address of addresses) {
    const server = createServer(options.tls === undefined ? plain(door) : secure(options.tls, door));
    try {
      bound = await bind(server, address, bound);
      guard(server, door);
      servers.push(server);
    } catch (error) {
      problem ??= error;
    }
  }
  if (servers.length === 0) throw problem;
  return {
    port: bound,
    close: () => {
      for (const server of servers) server.close();
      for (const socket of young) socket.destroy();
      failures.close();
    },
  };
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port }, () => {
      server.off("error", reject);
      const address = server.address();
      resolve(typeof address === "object" && address !== null ? address.port : port);
    });
  });
}

/** Bounds a server's connections, and tells of those that it cannot take: without a listener the error would end the process. */
function guard(server: Server, { maxConnections, failures }: Door): void {
  server.maxConnections = maxConnections;
  server.on("drop", (dropped) =>
    failures.note(dropped?.remoteAddress, `${maxConnections} connections are open already`),
  );
  server.on("error", (error) => failures.note(undefined, `it could not be accepted: ${error.message}`));
}

/** Ends a connection that the listener closes before gRPC holds it. @returns told when gRPC does */
function heldBy(young: Set<Socket>, socket: Socket): () => void {
  young.add(socket);
  const release = (): void => void young.delete(socket);
  socket.once("close", release);
  return release;
}

/** The first byte of a TLS handshake (RFC 8446, 5.1). */
const TLS_HANDSHAKE = 22;

function plain({ take, failures, young, handshakeMs }: Door): (socket: Socket) => void {
  return (socket) => {
    // `take` adds listeners of its own; without one an error would end the process.
    socket.on("error", () => undefined);
    const taken = heldBy(young, socket);
    const silent = (): void => {
      failures.note(socket.remoteAddress, "it says nothing");
      socket.destroy();
    };
    socket.setTimeout(handshakeMs, silent);
    socket.once("readable", () => {
      taken();
      socket.setTimeout(0, silent);
      const first = socket.read() as Buffer | null;
      if (first === null) return void socket.destroy();
      if (first[0] === TLS_HANDSHAKE)
        failures.note(socket.remoteAddress, "it speaks TLS, and this coordinator was started without --cert and --key");
      // It is answered in either case: the client sees plain text then, and can say so.
      socket.unshift(first);
      take(socket);
    });
  };
}

function secure({ ca, cert, key }: TlsFiles, { take, failures, young, handshakeMs }: Door): (raw: Socket) => void {
  const shown = { cert, key, ALPNProtocols: ["h2"], handshakeTimeout: handshakeMs };
  // Also of TLS sessions that go on: a server of its own for each connection knows no earlier one.
  const options = { ...shown, ...(ca === undefined ? {} : { ca, requestCert: true, rejectUnauthorized: true }) };
  return (raw) => {
    const taken = heldBy(young, raw);
    // Of a connection that has ended nobody can tell any more where it came from.
    const from = raw.remoteAddress;
    const server = createTlsServer(options, (socket) => {
      taken();
      socket.on("error", () => undefined);
      take(socket);
    });
    server.on("tlsClientError", (error, socket) => {
      failures.note(from, reasonOf(error, socket));
      // Node ends it after any error but that its time is up.
      socket.destroy();
    });
    server.emit("connection", raw);
  };
}

const REASONS: readonly (readonly [code: RegExp, reason: string])[] = [
  [/HTTP_REQUEST|WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG/, "it speaks plain text, and this coordinator speaks TLS"],
  [/PEER_DID_NOT_RETURN_A_CERTIFICATE/, "it shows no certificate: its --cert and --key are missing"],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_UNKNOWN|CERTIFICATE_EXPIRED)/,
    "it does not trust this coordinator's certificate",
  ],
  [/UNSUPPORTED_PROTOCOL|PROTOCOL_VERSION|VERSION_TOO_LOW/, "it has no version of TLS in common with this coordinator"],
  [/NO_SHARED_CIPHER/, "it has no cipher in common with this coordinator"],
  [/NO_APPLICATION_PROTOCOL/, "it speaks no HTTP/2"],
  [/ECONNRESET/, "it closed the connection; it may not trust this coordinator's certificate"],
  [/HANDSHAKE_TIMEOUT/, "it did not finish"],
];

function reasonOf(error: NodeJS.ErrnoException, socket: TLSSocket): string {
  const { authorizationError } = socket;
  if (authorizationError) return `its certificate is not of the authority in --ca (${authorizationError})`;
  return REASONS.find(([code]) => code.test(error.code ?? ""))?.[1] ?? error.message;
}
