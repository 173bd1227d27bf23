/** Addresses of coordinators: HOST:PORT. */
import { KindredError } from "../base/errors.js";

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
