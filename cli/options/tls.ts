/** Options for the security of a connection. */
import { type Command, Option } from "commander";

export interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly tls?: boolean;
  readonly insecure?: boolean;
}

const GROUP = "TLS:";

/** @param side whether this is the side that connects: it can trust the authorities of Node too */
export const tlsOptions = (to: Command, side: "client" | "coordinator"): Command => {
  const options = [
    new Option("--ca <pem>", "authorities to trust"),
    new Option("--cert <pem>", "certificate chain of this side"),
    new Option("--key <pem>", "private key of the certificate"),
    ...(side === "client" ? [new Option("--tls", "TLS with the public authorities that Node trusts")] : []),
    new Option("--insecure", "permit plain text off the loopback"),
  ];
  for (const option of options) to.addOption(option.helpGroup(GROUP));
  return to;
};

export const securityOf = ({ ca, cert, key, tls, insecure }: TlsOptions) => ({
  ...(ca === undefined ? {} : { ca }),
  ...(cert === undefined ? {} : { cert }),
  ...(key === undefined ? {} : { key }),
  tls: tls === true,
  insecure: insecure === true,
});
