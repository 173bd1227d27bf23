/** The example with which the library presents itself. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { test } from "node:test";
import { promisify } from "node:util";
import { asset } from "../../shared/base/assets.js";
import { temporaryFolder } from "../support/federation.js";

test("the example of the front door's module comment runs", async (t) => {
  const folder = temporaryFolder();
  t.after(folder.remove);
  const comment = readFileSync(asset("index.ts"), "utf8");
  const example = /```js\n([\s\S]*?)```/.exec(comment)?.[1]?.replace(/^ \* ?/gm, "");
  assert.ok(example !== undefined, "index.ts begins with an example");
  assert.match(example, /simulate\(/);
  const project = join(folder.path, "front-door");
  await mkdir(join(project, "node_modules"), { recursive: true });
  symlinkSync(asset(), join(project, "node_modules", "kindred"), "dir");
  writeFileSync(join(project, "example.mjs"), example);
  const { stdout } = await promisify(execFile)(process.execPath, [join(project, "example.mjs")]);
  assert.match(stdout, /\[ 'harbour', 'market' \].*\[ 'castle' \]/s);
});
