import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { listing, parseWords, refuseName } from "../../simulations/catalogue.js";

/** A program of a clone, as `npm run` starts it. */
function run(program: "benchmarks" | "scenarios", ...words: string[]) {
  const script = fileURLToPath(new URL(`../../simulations/${program}/main.js`, import.meta.url));
  const { status, stdout, stderr } = spawnSync(process.execPath, [script, ...words], { encoding: "utf8" });
  return { status, stdout, stderr };
}

test("a list has the usage and a line for each name", () => {
  assert.equal(
    listing("do NAME", { a: { about: "the first" }, longer: { about: "the second" } }),
    "do NAME\n\na       the first\nlonger  the second",
  );
});

test("a name that is none is refused with the nearest one", () => {
  const code = "invalid_option";
  const message = 'unknown name "enginee" (did you mean "engine"?); do lists the names';
  assert.throws(() => refuseName("enginee", ["engine", "memory"], "do"), { code, message });
  assert.throws(() => refuseName("zebra", ["engine"], "do"), { code, message: /^unknown name "zebra"; do lists/ });
});

test("an unknown option is the user's mistake", () => {
  const message = "Unknown option '--out'; see --help";
  assert.throws(() => parseWords({ args: ["--out"], options: {} }), { code: "invalid_option", message });
});

test("bench and scenario list what there is without a name, and refuse a name that is none", () => {
  for (const [program, name] of [
    ["benchmarks", "planted-groups"],
    ["scenarios", "text-sets-12"],
  ] as const) {
    const list = run(program);
    assert.deepEqual([list.status, list.stderr], [0, ""]);
    assert.match(list.stdout, new RegExp(`^${name} {2,}\\S.*$`, "m"));
    const wrong = run(program, `${name}x`);
    assert.deepEqual([wrong.status, wrong.stdout], [2, ""]);
    assert.match(
      wrong.stderr,
      new RegExp(`^kindred: unknown name "${name}x" \\(did you mean "${name}"\\?\\);[^\\n]*\\n$`),
    );
  }
});
