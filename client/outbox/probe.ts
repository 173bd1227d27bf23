/**
 * Why no call to a coordinator can succeed until somebody changes something: a certificate that does not fit, TLS against plain text,
 * another kind of server. It dials once more and looks at the handshake, for the errors of gRPC do not tell. Nothing of the client is
 * sent: a TLS handshake, or the fixed first bytes of HTTP/2.
 */
import { connect, isIP, type Socket } from "node:net";
import { type TLSSocket, connect as tlsConnect } from "node:tls";
import { isLoopback, parseAddress } from "../../shared/wire/address.js";
import { type SecurityOptions, tlsFiles } from "../../shared/wire/security.js";

export interface Mistake {
  /** What is wrong, and what to do. */
  readonly message: string;
  /** Whether time may mend it: a name that is not known yet. */
  readonly mayPass: boolean;
}

/** A peer that says nothing for so long tells nothing. */
const LONGEST_MS = 5_000;

/** The preface of HTTP/2 with empty settings (RFC 9113, 3.4). */
const HELLO = Buffer.concat([
  Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  Buffer.from("000000040000000000", "hex"),
]);
const SETTINGS_FRAME = 4;

/** What became of one connection. */
interface Seen {
  /** The first bytes that came; none where the peer ended first. */
  readonly bytes?: Buffer;
  /** The error that ended it. */
  readonly error?: NodeJS.ErrnoException;
  /** It neither spoke nor ended. */
  readonly silent?: boolean;
}

/** @returns nothing where the address answers as a coordinator does, or where only time can tell */
export async function connectionMistake(
  address: string,
  security: SecurityOptions,
  signal: AbortSignal,
): Promise<Mistake | undefined> {
  const { host } = parseAddress(address);
  // What a proxy can reach says nothing of what this machine can reach.
  const { grpc_proxy, https_proxy, http_proxy } = process.env;
  if (!isLoopback(host) && (grpc_proxy || https_proxy || http_proxy)) return undefined;
  return tlsFiles(security) === undefined ? plainMistake(address, signal) : tlsMistake(address, security, signal);
}

const permanent = (message: string): Mistake => ({ message, mayPass: false });

const unknownHost = (host: string): Mistake => ({
  message: `no host is called ${host}; check --coordinator`,
  mayPass: true,
});

const NO_COORDINATOR = "is no coordinator of Kindred; check the port of --coordinator";

const FRAME_HEADER_BYTES = 9;

/** Whether bytes begin as those of an HTTP/2 server do. */
const isHttp2 = (bytes: Buffer): boolean => bytes.length >= FRAME_HEADER_BYTES && bytes[3] === SETTINGS_FRAME;

async function plainMistake(address: string, signal: AbortSignal): Promise<Mistake | undefined> {
  const { host, port } = parseAddress(address);
  const socket = connect({ host, port });
  socket.once("connect", () => socket.write(HELLO));
  const { bytes, error, silent } = await watched(socket, signal);
  if (error?.code === "ENOTFOUND") return unknownHost(host);
  if (silent || (error !== undefined && error.code !== "ECONNRESET" && error.code !== "EPIPE")) return undefined;
  if (bytes !== undefined && isHttp2(bytes)) return undefined;
  const secure = tlsConnect({ host, port, ...serverName(host), ALPNProtocols: ["h2"], rejectUnauthorized: false });
  let spoke = false;
  secure.once("secureConnect", () => {
    spoke = true;
  });
  await watched(secure, signal);
  if (spoke) return permanent("it speaks TLS: give --ca (the certificate of its authority), or --tls");
  return bytes === undefined ? undefined : permanent(`it speaks no HTTP/2: it ${NO_COORDINATOR}`);
}

async function tlsMistake(
  address: string,
  security: SecurityOptions,
  signal: AbortSignal,
): Promise<Mistake | undefined> {
  const { host, port } = parseAddress(address);
  const secure = tlsConnect({
    ...tlsFiles(security),
    host,
    port,
    ...serverName(host),
    ALPNProtocols: ["h2"],
    rejectUnauthorized: false, // to see its certificate; nothing is sent
  });
  let shaken = false;
  let refused: string | undefined;
  secure.once("secureConnect", () => {
    shaken = true;
    if (!secure.authorized) refused = certificateProblem(secure, host, security);
    else if (secure.alpnProtocol !== "h2") refused = `it speaks TLS, but no HTTP/2: it ${NO_COORDINATOR}`;
    if (refused !== undefined) secure.destroy();
  });
  const { bytes, error, silent } = await watched(secure, signal);
  if (refused !== undefined) return permanent(refused);
  if (silent || (bytes !== undefined && isHttp2(bytes))) return undefined;
  if (error?.code === "ENOTFOUND") return unknownHost(host);
  const said = HANDSHAKES.find(([code]) => code.test(error?.code ?? ""))?.[1](security);
  if (said !== undefined) return permanent(said);
  // It looked at this client's certificate, and hung up.
  if (shaken && bytes === undefined && security.cert !== undefined)
    return permanent(
      `it refuses the certificate of this client, ${security.cert}: expected one of the authority that it trusts`,
    );
  return undefined;
}

/** A host's name for the certificate to be compared with; an address has none. */
const serverName = (host: string): { servername?: string } => (isIP(host) === 0 ? { servername: host } : {});

/** What alerts and errors of a handshake mean, by OpenSSL's codes. */
const HANDSHAKES: readonly (readonly [code: RegExp, problem: (security: SecurityOptions) => string])[] = [
  [
    /WRONG_VERSION_NUMBER|PACKET_LENGTH_TOO_LONG|^ERR_SSL_HTTP_REQUEST/,
    () =>
      "it speaks no TLS: start the coordinator with --cert and --key, or leave out --tls, --ca, --cert and --key here",
  ],
  [
    /CERTIFICATE_REQUIRED|HANDSHAKE_FAILURE/,
    ({ cert }) =>
      cert === undefined
        ? "it asks this client for a certificate: give --cert and --key"
        : `it refuses the handshake with the certificate of this client, ${cert}`,
  ],
  [
    /ALERT_(UNKNOWN_CA|BAD_CERTIFICATE|CERTIFICATE_\w+|UNSUPPORTED_CERTIFICATE|ACCESS_DENIED|DECRYPT_ERROR)/,
    ({ cert }) => `it refuses the certificate of this client, ${cert}: expected one of the authority that it trusts`,
  ],
  [
    /PROTOCOL_VERSION|UNSUPPORTED_PROTOCOL|VERSION_TOO_LOW/,
    () => "it has no version of TLS in common with this client (1.2 or 1.3)",
  ],
  [/NO_APPLICATION_PROTOCOL/, () => `it speaks TLS, but no HTTP/2: it ${NO_COORDINATOR}`],
];

/** What is wrong with the peer's certificate. */
function certificateProblem(socket: TLSSocket, host: string, { ca }: SecurityOptions): string {
  const certificate = socket.getPeerCertificate();
  const code = String(socket.authorizationError);
  const from = Date.parse(certificate.valid_from);
  const to = Date.parse(certificate.valid_to);
  if (code === "ERR_TLS_CERT_ALTNAME_INVALID")
    return `its certificate is for ${namesOf(certificate.subjectaltname, certificate.subject?.CN)}, not ${host}; dial it by a name of its certificate, or give it a certificate for ${host}`;
  if (code === "CERT_HAS_EXPIRED") {
    const what =
      Date.now() > to ? `its certificate expired on ${dayOf(to)}` : "the certificate of its authority has expired";
    return `${what}; give the coordinator a new one, or set the clock of this machine`;
  }
  if (code === "CERT_NOT_YET_VALID")
    return `its certificate is valid from ${dayOf(from)} on; set the clock of this machine, or give the coordinator another one`;
  const authority = ca === undefined ? "the authorities that Node trusts" : `the authority in ${ca}`;
  return `its certificate is not of ${authority} (${code}); give the certificate of its authority as --ca`;
}

const dayOf = (time: number): string =>
  Number.isNaN(time) ? "an unknown day" : new Date(time).toISOString().slice(0, 10);

/** @param names as Node has them: "DNS:one.example, IP Address:10.0.0.1" */
function namesOf(names: string | undefined, common: string | string[] | undefined): string {
  const found =
    names === undefined ? [common ?? "nobody"].flat() : names.split(", ").map((name) => name.replace(/^[^:]*:/, ""));
  const shown = found.slice(0, 5).map((name) => name.replace(/[^\x21-\x7e]/g, "?").slice(0, 253));
  return `${shown.join(", ")}${found.length > shown.length ? " and others" : ""}`;
}

/** Waits for the first bytes, a frame's header in all, or for the end of a connection, and ends it. */
function watched(socket: Socket, signal: AbortSignal): Promise<Seen> {
  return new Promise((resolve) => {
    const end = (seen: Seen): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", stop);
      socket.destroy();
      resolve(seen);
    };
    let bytes = Buffer.alloc(0);
    const endWith = (otherwise: Seen): void => end(bytes.length > 0 ? { bytes } : otherwise);
    const stop = (): void => endWith({ silent: true });
    const timer = setTimeout(stop, LONGEST_MS);
    signal.addEventListener("abort", stop, { once: true });
    if (signal.aborted) stop();
    socket.on("data", (piece: Buffer) => {
      bytes = Buffer.concat([bytes, piece]);
      if (bytes.length >= FRAME_HEADER_BYTES) end({ bytes });
    });
    socket.on("error", (error) => end({ error }));
    socket.once("close", () => endWith({}));
    socket.once("end", () => endWith({}));
  });
}
