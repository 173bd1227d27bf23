/** Folders are made with those above them, and a path that cannot be one is refused by name. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { makeCache } from "../../../shared/base/cache.js";
import { makeFolder } from "../../../shared/base/folders.js";

const root = mkdtempSync(join(tmpdir(), "kindred-folders-"));
after(() => rmSync(root, { recursive: true }));

test("a folder is made with those above it, and a second call makes nothing", () => {
  const folder = join(root, "a", "b", "c d #1 %41 ü");
  assert.equal(makeFolder(folder, { mode: 0o700 }), join(root, "a"));
  assert.equal(makeFolder(folder), undefined);
  if (process.platform === "win32") return;
  for (const path of [folder, join(root, "a")]) assert.equal(statSync(path).mode & 0o777, 0o700);
});

test("a path with .. is the folder that it leads to", () => {
  mkdirSync(join(root, "x"));
  assert.equal(makeFolder(`${join(root, "x")}/../y`), join(root, "y"));
});

test("a file, and a path through a file, are refused by name", () => {
  const file = join(root, "file");
  writeFileSync(file, "");
  for (const path of [file, join(file, "below"), join(file, "far", "below")]) {
    assert.throws(() => makeFolder(path), {
      code: "invalid_option",
      message: `${path}: cannot be made a folder (a part of the path is a file); name a folder that can be written`,
    });
  }
});

test("a folder that takes no new one is an error, not an endless search", {
  skip: process.platform !== "linux",
}, () => {
  assert.throws(() => makeFolder("/proc/no/such"), {
    code: "invalid_option",
    message:
      "/proc/no/such: cannot be made a folder (the one above takes no folder); name a folder that can be written",
  });
  assert.throws(() => makeCache("/proc/no/cache"), /\/proc\/no\/cache: cannot be made a folder .*; set KINDRED_CACHE/);
});
