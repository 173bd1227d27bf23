/** Paths of the package's own files (proto, the demo's model), both in dist/ and in an installed package. */
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

let root: string | undefined;

/** The folder that holds package.json. */
export function packageRoot(): string {
  if (root !== undefined) return root;
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, "package.json"))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error("package.json of kindred not found above its own files");
    folder = parent;
  }
  root = folder;
  return folder;
}

/** Path of a file of the package, given relative to its root. */
export function asset(...parts: readonly string[]): string {
  return join(packageRoot(), ...parts);
}

/** What the package's package.json says of it. */
export function manifest(): { readonly version: string; readonly description: string } {
  return JSON.parse(readFileSync(asset("package.json"), "utf8"));
}
