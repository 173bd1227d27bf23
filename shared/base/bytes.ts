/** Sizes of memory as text. */
import { KindredError } from "./errors.js";

const UNITS: Readonly<Record<string, number>> = { MiB: 2 ** 20, GiB: 2 ** 30, MB: 1e6, GB: 1e9 };

/** "8GiB", "1.5 GiB", "512MiB", "2GB" in bytes. @throws {KindredError} `invalid_option` naming `what` */
export function parseBytes(text: string, what: string): number {
  const [, amount, unit] = /^\s*(\d+(?:\.\d+)?)\s*(MiB|GiB|MB|GB)\s*$/.exec(text) ?? [];
  const bytes = Math.floor(Number(amount) * (UNITS[unit ?? ""] ?? Number.NaN));
  if (!(bytes > 0) || !Number.isSafeInteger(bytes)) {
    throw new KindredError(
      "invalid_option",
      `${what} is ${JSON.stringify(text)}; expected a size such as 8GiB or 512MiB`,
    );
  }
  return bytes;
}

/** A size in MiB; from 1 GiB on, in GiB. */
export function showBytes(bytes: number): string {
  return bytes < 2 ** 30 ? `${Math.ceil(bytes / 2 ** 20)} MiB` : `${(bytes / 2 ** 30).toFixed(2)} GiB`;
}
