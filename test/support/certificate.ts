/** A new self-signed certificate: X.509 v3 in DER (RFC 5280), signed with ECDSA on P-256. */
import { generateKeyPairSync, sign } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";

function tlv(tag: number, ...parts: readonly Uint8Array[]): Buffer {
  const body = Buffer.concat(parts);
  const length =
    body.length < 128
      ? [body.length]
      : body.length < 256
        ? [0x81, body.length]
        : [0x82, body.length >> 8, body.length & 255];
  return Buffer.concat([Buffer.from([tag, ...length]), body]);
}

const sequence = (...parts: readonly Uint8Array[]) => tlv(0x30, ...parts);
const hex = (digits: string) => Buffer.from(digits, "hex");
const time = (date: Date) => tlv(0x17, Buffer.from(`${date.toISOString().slice(2, 19).replace(/[-:T]/g, "")}Z`));

const ECDSA_WITH_SHA256 = sequence(hex("06082a8648ce3d040302"));
const COMMON_NAME = hex("0603550403");
const SUBJECT_ALT_NAME = hex("0603551d11");
const BASIC_CONSTRAINTS = hex("0603551d13");
const TRUE = hex("0101ff");

const DAY_MS = 86_400_000;

export interface CertificateOptions {
  /** @default 127.0.0.1 and localhost */
  readonly name?: string;
  /** Milliseconds since 1970. @default yesterday */
  readonly from?: number;
  /** @default tomorrow */
  readonly to?: number;
}

/** Writes cert.pem and key.pem. @returns their paths */
export function certificateIn(
  folder: string,
  { name: host, from = Date.now() - DAY_MS, to = Date.now() + DAY_MS }: CertificateOptions = {},
): { cert: string; key: string } {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
  const name = sequence(tlv(0x31, sequence(COMMON_NAME, tlv(0x0c, Buffer.from("kindred test")))));
  const dns = tlv(0x82, Buffer.from(host ?? "localhost"));
  const names = host === undefined ? sequence(tlv(0x87, Buffer.from([127, 0, 0, 1])), dns) : sequence(dns);
  const extensions = sequence(
    sequence(SUBJECT_ALT_NAME, tlv(0x04, names)),
    sequence(BASIC_CONSTRAINTS, TRUE, tlv(0x04, sequence(TRUE))),
  );
  const body = sequence(
    tlv(0xa0, hex("020102")), // version 3
    hex("020101"), // serial number 1
    ECDSA_WITH_SHA256,
    name,
    sequence(time(new Date(from)), time(new Date(to))),
    name,
    publicKey.export({ type: "spki", format: "der" }),
    tlv(0xa3, extensions),
  );
  const signature = tlv(0x03, hex("00"), sign("sha256", body, privateKey));
  const der = sequence(body, ECDSA_WITH_SHA256, signature);
  const lines = der.toString("base64").match(/.{1,64}/g) ?? [];
  const paths = { cert: join(folder, "cert.pem"), key: join(folder, "key.pem") };
  writeFileSync(paths.cert, `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`);
  writeFileSync(paths.key, privateKey.export({ type: "pkcs8", format: "pem" }));
  return paths;
}
