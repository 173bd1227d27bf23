/**
 * Versions and requirements as Python packages state them (PEP 440, PEP 508): the part that releases of native libraries
 * use. Pre-releases, local versions and environment markers other than `extra` are not read.
 */
import { KindredError } from "../../base/errors.js";

/** What a package asks of another one: all specifiers must hold. */
export interface Requirement {
  readonly name: string;
  readonly specifiers: readonly { readonly operator: string; readonly version: string }[];
  /** The extra that brings it in; absent where the package always needs it. */
  readonly extra?: string;
}

/** Names that differ in case or in `-`, `_` and `.` are one package (PEP 503). */
export const normalised = (name: string): string => name.toLowerCase().replace(/[-_.]+/g, "-");

/** Whether a version is a final release: digits and dots. */
export const isRelease = (version: string): boolean => /^\d+(\.\d+)*$/.test(version);

/** Negative where `a` is the older; missing parts are zero. */
export function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(".").map(Number)) as [number[], number[]];
  for (let at = 0; at < Math.max(left.length, right.length); at++) {
    const difference = (left[at] ?? 0) - (right[at] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** @throws {KindredError} `unsupported` where the specifier is not one that is read */
export function satisfies(version: string, { name, specifiers }: Requirement): boolean {
  return specifiers.every(({ operator, version: bound }) => {
    const prefix = bound.endsWith(".*") ? bound.slice(0, -2) : undefined;
    if (!isRelease(prefix ?? bound) || (prefix !== undefined && operator !== "==" && operator !== "!="))
      throw new KindredError("unsupported", `${name}: the requirement ${operator}${bound} is not understood`, { name });
    const startsWith = (head: string) => `${version}.`.startsWith(`${head}.`);
    const order = compareVersions(version, prefix ?? bound);
    switch (operator) {
      case "==":
        return prefix === undefined ? order === 0 : startsWith(prefix);
      case "!=":
        return prefix === undefined ? order !== 0 : !startsWith(prefix);
      case ">=":
        return order >= 0;
      case "<=":
        return order <= 0;
      case ">":
        return order > 0;
      case "<":
        return order < 0;
      case "~=": // compatible: at least this, the same up to the last part but one
        return order >= 0 && startsWith(bound.replace(/\.\d+$/, ""));
      default:
        throw new KindredError("unsupported", `${name}: the requirement ${operator}${bound} is not understood`, {
          name,
        });
    }
  });
}

/** The requirements in a wheel's METADATA. */
export function parseRequirements(metadata: string): Requirement[] {
  const requirements: Requirement[] = [];
  // Headers end at the first empty line; the description follows.
  for (const line of metadata.split(/\r?\n\r?\n/, 1)[0]!.split(/\r?\n/)) {
    const match = /^Requires-Dist:\s*([\w.-]+)\s*(?:\[[^\]]*\])?\s*\(?([^;)]*)\)?\s*(?:;(.*))?$/i.exec(line);
    if (match === null) continue;
    const [, name = "", bounds = "", marker = ""] = match;
    const specifiers = bounds
      .split(",")
      .map((text) => /^\s*(~=|===?|!=|<=|>=|<|>)\s*(\S+)\s*$/.exec(text))
      .flatMap((part) => (part === null ? [] : [{ operator: part[1]!, version: part[2]! }]));
    const extra = /\bextra\s*==\s*["']([\w.-]+)["']/.exec(marker)?.[1];
    requirements.push({ name: normalised(name), specifiers, ...(extra === undefined ? {} : { extra }) });
  }
  return requirements;
}
