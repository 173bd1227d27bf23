/** What the tarball of `npm pack` holds, without installing it: the whole way is in system/package.long.test.ts. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { asset } from "../shared/base/assets.js";

interface Packed {
  readonly unpackedSize: number;
  readonly files: readonly { readonly path: string }[];
}

function pack(): Packed {
  const { stdout, stderr, status } = spawnSync("npm", ["pack", "--dry-run", "--json", "--ignore-scripts"], {
    cwd: asset(),
    encoding: "utf8",
    maxBuffer: 2 ** 26,
  });
  assert.equal(status, 0, stderr);
  // A list up to npm 11, an object by name after it.
  const [packed] = Object.values(JSON.parse(stdout) as Record<string, Packed>);
  return packed!;
}

test("the tarball holds what runs, its declarations and maps, and nothing of the tests", () => {
  const { files, unpackedSize } = pack();
  const paths = files.map(({ path }) => path);
  for (const needed of [
    "package.json",
    "LICENSE",
    "README.md",
    "dist/index.js",
    "dist/index.js.map",
    "dist/index.d.ts",
    "dist/kindred.js",
    "proto/kindred/v1/tasks.proto",
    "tasks/evaluate/evaluate.proto",
    "simulations/demo/model/config.json",
    "simulations/demo/model/model.safetensors",
  ])
    assert.ok(paths.includes(needed), `${needed} is missing`);
  // The examples of the documents are sources, for people to read.
  const unwanted =
    /(^|\/)(test|node_modules|\.ci|runs)\/|\.test\.|tsbuildinfo|\.env|^(?!docs\/examples\/).*(?<!\.d)\.ts$/;
  assert.deepEqual(
    paths.filter((path) => unwanted.test(path)),
    [],
  );
  // Controls: the expression finds what it is for.
  for (const path of ["dist/test/run.js", "dist/.tsbuildinfo", "index.ts", "shared/a.test.js"])
    assert.match(path, unwanted);
  for (const path of ["dist/index.d.ts", "docs/examples/reader.ts"]) assert.doesNotMatch(path, unwanted);
  assert.ok(unpackedSize < 15e6, `${unpackedSize} bytes`);
});

test("every way into the package that package.json names is a file with declarations", () => {
  const manifest = JSON.parse(readFileSync(asset("package.json"), "utf8")) as {
    main: string;
    types: string;
    private?: boolean;
    bin: Record<string, string>;
    exports: Record<string, string | { types: string; default: string }>;
  };
  assert.equal(manifest.private, undefined);
  const { exports, main, types, bin } = manifest;
  const targets = Object.values(exports).flatMap((entry) =>
    typeof entry === "string" ? [entry] : [entry.types, entry.default],
  );
  for (const target of [...targets, main, types, ...Object.values(bin)]) assert.ok(existsSync(asset(target)), target);
  const front = exports["."] as { types: string; default: string };
  assert.deepEqual(Object.keys(front), ["types", "default"], "types must come first: conditions are tried in order");
  assert.deepEqual([front.types, front.default], [types, main]);
  assert.match(readFileSync(asset("dist", "kindred.js"), "utf8"), /^#!\/usr\/bin\/env node\n/);
});

test("source maps bring their sources, which the tarball does not hold", () => {
  const map = JSON.parse(readFileSync(asset("dist", "index.js.map"), "utf8")) as { sourcesContent?: string[] };
  assert.deepEqual(map.sourcesContent, [readFileSync(asset("index.ts"), "utf8")]);
});
