/** `kindred runtime add tfjs` against the real package index and npm registry: 270 MB, half a minute. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { PUBLIC_INDEX } from "../../../../shared/runtimes/install/package-index.js";

const program = fileURLToPath(new URL("../../../../kindred.js", import.meta.url));
const cache = mkdtempSync(join(tmpdir(), "kindred-tfjs-"));
after(() => rmSync(cache, { recursive: true }));

function kindred(...words: string[]): { stdout: string; stderr: string; status: number | null } {
  const env = { ...process.env, KINDRED_CACHE: cache };
  return spawnSync(process.execPath, [program, ...words], { encoding: "utf8", env, timeout: 900_000 });
}

async function obstacle(): Promise<string | false> {
  if (process.platform !== "linux") return "tfjs can be added on Linux alone";
  if (spawnSync(process.env.CXX || "g++", ["--version"]).error) return "there is no C++ compiler";
  const index = process.env.PIP_INDEX_URL || PUBLIC_INDEX;
  const answers = await fetch(index, { method: "HEAD", signal: AbortSignal.timeout(10_000) }).then(
    () => true,
    () => false,
  );
  return answers ? false : `${new URL(index).host} cannot be reached`;
}

test("tfjs is added, computes a training step rightly, is found there, and goes without a trace", {
  skip: await obstacle(),
}, () => {
  const added = kindred("runtime", "add", "tfjs", "--json");
  assert.equal(added.status, 0, added.stderr);
  const tfjs = (JSON.parse(added.stdout) as { name: string; versions: Record<string, string> }[]).find(
    ({ name }) => name === "tfjs",
  )!;
  assert.equal(tfjs.versions["@tensorflow/tfjs-node"], "4.22.0");
  assert.deepEqual(readdirSync(join(cache, "runtimes")), ["tfjs"]);

  const examined = kindred("doctor", "--json");
  assert.equal(examined.status, 0, examined.stderr);
  const { findings } = JSON.parse(examined.stdout) as {
    findings: { name: string; state: string; gradientError?: number }[];
  };
  const finding = findings.find(({ name }) => name === "tfjs-node")!;
  assert.equal(finding.state, "works", JSON.stringify(finding));
  assert.ok(finding.gradientError! < 1e-4, `${finding.gradientError}`);

  const start = Date.now();
  assert.equal(kindred("runtime", "add", "tfjs").status, 0);
  assert.ok(Date.now() - start < 20_000, "the second time nothing is fetched");
  assert.equal(kindred("runtime", "remove", "tfjs").status, 0);
  assert.ok(!existsSync(join(cache, "runtimes", "tfjs")));
});
