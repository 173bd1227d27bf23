/** Compiles the sources into dist/, and removes from it what was compiled of sources that have since moved or gone. */
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(fileURLToPath(import.meta.url));
const dist = join(root, "dist");
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.json")], { stdio: "inherit" });
if (status !== 0) process.exit(status ?? 1);

for (const name of readdirSync(dist, { recursive: true, encoding: "utf8" })) {
  const compiled = /\.(js|js\.map|d\.ts)$/.exec(name);
  if (compiled === null) continue;
  if (!existsSync(join(root, `${name.slice(0, compiled.index)}.ts`))) rmSync(join(dist, name));
}
chmodSync(join(dist, "kindred.js"), 0o755);
