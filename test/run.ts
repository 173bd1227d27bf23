/**
 * Runs the compiled tests with node's own runner. `node dist/test/run.js [unit|long|all] [part of a path ...]`
 * Files ending in `.long.test.js` run in `long` and `all` only. Node 20 takes no glob after --test, hence this file.
 */
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { dirname, join, sep } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

const here = dirname(fileURLToPath(import.meta.url));
const [kind = "unit", ...parts] = process.argv.slice(2);
// What was compiled of a source that has since moved stays in dist.
const sources = join(here, "..", "..", "test");
const hasSource = (name: string): boolean => existsSync(join(sources, name.replace(/\.js$/, ".ts")));
const files = readdirSync(here, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".test.js") && hasSource(name))
  .filter((name) => kind === "all" || name.endsWith(".long.test.js") === (kind === "long"))
  .filter((name) => parts.length === 0 || parts.some((part) => name.split(sep).join("/").includes(part)))
  .map((name) => join(here, name))
  .sort();
if (files.length === 0) {
  console.error(`no ${kind} test matches ${parts.join(", ")}`);
  process.exit(2);
}
// Debian's Chromium brings a Vulkan device in software, and the loader for it: WebGPU where there is no GPU.
const chromium = "/usr/lib/chromium";
const device = join(chromium, "vk_swiftshader_icd.json");
const chosen = process.env.VK_ICD_FILENAMES ?? process.env.VK_DRIVER_FILES;
const vulkan =
  chosen === undefined && existsSync(device)
    ? { VK_ICD_FILENAMES: device, LD_LIBRARY_PATH: [process.env.LD_LIBRARY_PATH, chromium].filter(Boolean).join(":") }
    : {};
// Many tests wait for timers and other processes. Node's own number is one fewer than there are processors: one of two.
const atOnce = `--test-concurrency=${Math.max(2, availableParallelism() - 1)}`;
const seed = ["--import", pathToFileURL(join(here, "support", "property-seed.js")).href];
const options = ["--enable-source-maps", ...seed, "--test", "--test-reporter=spec", atOnce];
const result = spawnSync(process.execPath, [...options, ...files], {
  stdio: "inherit",
  env: { ...process.env, ...vulkan },
});
process.exit(result.status ?? 1);
