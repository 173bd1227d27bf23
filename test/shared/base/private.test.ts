import assert from "node:assert/strict";
import { chmodSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { makeCache } from "../../../shared/base/cache.js";
import { makePrivateFile, makePrivateFolder } from "../../../shared/base/private.js";
import { temporaryFolder } from "../../support/federation.js";

const skip = process.platform === "win32" && "Windows has no such rights";

describe("private files and folders", { skip }, () => {
  const folder = temporaryFolder();
  after(folder.remove);
  const rights = (path: string): string => (statSync(path).mode & 0o777).toString(8);
  const folderWith = (name: string, mode: number, ...files: readonly string[]): string => {
    const path = join(folder.path, name);
    mkdirSync(path);
    for (const file of files) writeFileSync(join(path, file), "");
    chmodSync(path, mode);
    return path;
  };

  it("a folder is made private with those above it", () => {
    const path = join(folder.path, "above", "made");
    makePrivateFolder(path);
    assert.deepEqual([rights(path), rights(join(folder.path, "above"))], ["700", "700"]);
  });

  it("an empty folder is narrowed, one that serves others too keeps its rights", () => {
    const [empty, used] = [folderWith("empty", 0o775), folderWith("used", 0o775, "of-others")];
    makePrivateFolder(empty);
    makePrivateFolder(used);
    assert.deepEqual([rights(empty), rights(used)], ["700", "775"]);
  });

  it("a file is made private, and one that is there is narrowed, not emptied", async () => {
    const there = join(folderWith("files", 0o755), "there");
    writeFileSync(there, "content", { mode: 0o644 });
    await makePrivateFile(there);
    await makePrivateFile(`${there}-not`);
    assert.deepEqual([rights(there), rights(`${there}-not`), statSync(there).size], ["600", "600", 7]);
  });

  it("a cache is made private, and one that is there may be shared", async () => {
    const shared = folderWith("shared", 0o775);
    await makeCache(shared);
    await makeCache(join(folder.path, "cache"));
    assert.deepEqual([rights(shared), rights(join(folder.path, "cache"))], ["775", "700"]);
  });
});
