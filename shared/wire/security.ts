/**
 * Who may speak in clear: nobody off the loopback, unless told so. Turns file names into gRPC credentials for both sides.
 * It knows nothing of sessions: who a client is, is the roster's matter.
 */
import { readFileSync } from "node:fs";
import { ChannelCredentials, ServerCredentials } from "@grpc/grpc-js";
import { KindredError } from "../base/errors.js";

export interface SecurityOptions {
  /** PEM file of the authorities to trust: at a client, whose servers; at a coordinator, whose clients must show a certificate. */
  readonly ca?: string;
  /** PEM file with this side's certificate chain. A coordinator needs it for TLS; a client only where it must show one. */
  readonly cert?: string;
  /** PEM file with the certificate's private key. */
  readonly key?: string;
  /** TLS with the system's authorities; implied by `ca`, `cert` and `key`. @default false */
  readonly tls?: boolean;
  /** Permits plain text off the loopback. @default false */
  readonly insecure?: boolean;
}

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** @throws {KindredError} `invalid_option` */
export function parseAddress(address: string): Address {
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]\s]+)):(\d{1,5})$/.exec(address);
  const port = Number(match?.[3]);
  if (!match || port > 65_535) {
    throw new KindredError(
      "invalid_option",
      `address must be HOST:PORT (IPv6 in brackets), got ${JSON.stringify(address)}`,
    );
  }
  return { host: (match[1] ?? match[2]) as string, port };
}

export function isLoopback(host: string): boolean {
  return host === "localhost" || host === "::1" || /^127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(host);
}

function readPem(option: string, path: string | undefined): Buffer | null {
  if (path === undefined) return null;
  try {
    return readFileSync(path);
  } catch (error) {
    throw new KindredError(
      "invalid_option",
      `${option}: cannot read ${path}: ${(error as Error).message}`,
      { path },
      error,
    );
  }
}

/** Runs `make`, which parses PEM files: what OpenSSL has to say becomes an error of the options. */
function withPems<T>(options: SecurityOptions, make: () => T): T {
  try {
    return make();
  } catch (error) {
    if (error instanceof KindredError) throw error;
    const files = [options.ca, options.cert, options.key].filter((path) => path !== undefined).join(", ");
    throw new KindredError("invalid_option", `TLS files ${files}: ${(error as Error).message}`, {}, error);
  }
}

function refusePlain(side: string, host: string, remedy: string): never {
  const message = `${side} ${host} is not the loopback and no TLS is set up: give ${remedy}, or --insecure to send everything in clear`;
  throw new KindredError("insecure", message, { host });
}

/** Credentials of a client that dials `address`. @throws {KindredError} `insecure`, `invalid_option` */
export function channelCredentials(address: string, options: SecurityOptions = {}): ChannelCredentials {
  const { host } = parseAddress(address);
  if (options.tls || options.ca !== undefined || options.cert !== undefined || options.key !== undefined) {
    if ((options.cert === undefined) !== (options.key === undefined)) {
      throw new KindredError("invalid_option", "a client's certificate needs both --cert and --key");
    }
    return withPems(options, () =>
      ChannelCredentials.createSsl(
        readPem("--ca", options.ca),
        readPem("--key", options.key),
        readPem("--cert", options.cert),
      ),
    );
  }
  if (!isLoopback(host) && !options.insecure)
    refusePlain("coordinator", host, "--ca (the coordinator's authority) or --tls");
  return ChannelCredentials.createInsecure();
}

/** Credentials of a coordinator that listens at `address`. @throws {KindredError} `insecure`, `invalid_option` */
export function serverCredentials(address: string, options: SecurityOptions = {}): ServerCredentials {
  const { host } = parseAddress(address);
  if (options.tls || options.ca !== undefined || options.cert !== undefined || options.key !== undefined) {
    const cert = readPem("--cert", options.cert);
    const key = readPem("--key", options.key);
    if (!cert || !key) throw new KindredError("invalid_option", "TLS at a coordinator needs both --cert and --key");
    return withPems(options, () =>
      ServerCredentials.createSsl(
        readPem("--ca", options.ca),
        [{ cert_chain: cert, private_key: key }],
        options.ca !== undefined,
      ),
    );
  }
  if (!isLoopback(host) && !options.insecure) refusePlain("listening address", host, "--cert and --key");
  return ServerCredentials.createInsecure();
}
