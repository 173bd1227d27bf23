/**
 * Who may speak in clear: nobody off the loopback, unless told so. Turns file names into gRPC credentials for both sides.
 * It knows nothing of sessions: who a client is, is the roster's matter.
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { ChannelCredentials } from "@grpc/grpc-js";
import { KindredError } from "../base/errors.js";
import { isLoopback, parseAddress } from "./address.js";

export interface SecurityOptions {
  /** PEM file of the authorities to trust: at a client, whose servers; at a coordinator, whose clients must show a certificate. */
  readonly ca?: string;
  /** PEM file with this side's certificate chain. A coordinator needs it for TLS; a client only where it must show one. */
  readonly cert?: string;
  /** PEM file with the certificate's private key. */
  readonly key?: string;
  /** TLS with the authorities that Node trusts; implied by `ca`, `cert` and `key`. @default false */
  readonly tls?: boolean;
  /** Permits plain text off the loopback. @default false */
  readonly insecure?: boolean;
}

/** What a side shows and trusts in TLS, in PEM. */
export interface TlsFiles {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

function readPem(option: string, path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    throw tlsMistake(option, path, `cannot read ${path}: ${(error as Error).message}`, error);
  }
}

function tlsMistake(option: string, path: string, problem: string, cause?: unknown): KindredError {
  return new KindredError("invalid_option", `${option}: ${problem}`, { path }, cause);
}

function readCertificates(option: string, path: string): Buffer {
  const pem = readPem(option, path);
  try {
    new X509Certificate(pem);
  } catch (error) {
    throw tlsMistake(option, path, `${path} holds no certificate; expected PEM with a BEGIN CERTIFICATE line`, error);
  }
  return pem;
}

/** Both ways in which PEM says that a key needs a passphrase. */
const ENCRYPTED = /^(-----BEGIN ENCRYPTED PRIVATE KEY-----|Proc-Type: 4,ENCRYPTED)/m;

function readKey(path: string): Buffer {
  const pem = readPem("--key", path);
  if (ENCRYPTED.test(pem.toString("latin1")))
    throw tlsMistake("--key", path, `the key ${path} is encrypted; give one without a passphrase`);
  try {
    createPrivateKey(pem);
  } catch (error) {
    throw tlsMistake("--key", path, `${path} holds no private key; expected PEM with a BEGIN PRIVATE KEY line`, error);
  }
  return pem;
}

/** @returns nothing where no TLS is asked for. @throws {KindredError} `invalid_option` */
export function tlsFiles({ tls, ca, cert, key }: SecurityOptions): TlsFiles | undefined {
  if (!tls && ca === undefined && cert === undefined && key === undefined) return undefined;
  const files = {
    ...(ca === undefined ? {} : { ca: readCertificates("--ca", ca) }),
    ...(cert === undefined ? {} : { cert: readCertificates("--cert", cert) }),
    ...(key === undefined ? {} : { key: readKey(key) }),
  };
  if (cert === undefined || key === undefined) return files;
  if (!new X509Certificate(files.cert as Buffer).checkPrivateKey(createPrivateKey(files.key as Buffer)))
    throw tlsMistake("--key", key, `${key} is not the private key of the certificate ${cert}`);
  return files;
}

function refusePlain(side: string, host: string, remedy: string): never {
  const message = `${side} ${host} is not the loopback and no TLS is set up: give ${remedy}, or --insecure to send everything in clear`;
  throw new KindredError("insecure", message, { host });
}

/** Credentials of a client that dials `address`. @throws {KindredError} `insecure`, `invalid_option` */
export function channelCredentials(address: string, options: SecurityOptions = {}): ChannelCredentials {
  const { host } = parseAddress(address);
  const files = tlsFiles(options);
  if (files !== undefined) {
    if ((options.cert === undefined) !== (options.key === undefined)) {
      throw new KindredError("invalid_option", "a client's certificate needs both --cert and --key");
    }
    return ChannelCredentials.createSsl(files.ca ?? null, files.key ?? null, files.cert ?? null);
  }
  if (!isLoopback(host) && !options.insecure)
    refusePlain("coordinator", host, "--ca (the coordinator's authority) or --tls");
  return ChannelCredentials.createInsecure();
}

/** What a coordinator shows that listens at `address`; nothing where it speaks in clear. @throws {KindredError} `insecure`, `invalid_option` */
export function serverTls(address: string, options: SecurityOptions = {}): TlsFiles | undefined {
  const { host } = parseAddress(address);
  const files = tlsFiles(options);
  if (files !== undefined) {
    if (files.cert === undefined || files.key === undefined)
      throw new KindredError("invalid_option", "TLS at a coordinator needs both --cert and --key");
    return files;
  }
  if (!isLoopback(host) && !options.insecure) refusePlain("listening address", host, "--cert and --key");
  return undefined;
}
