import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join, relative } from "node:path";
import { after, test } from "node:test";
import { pathToFileURL } from "node:url";
import { openState, readState, stateFolder } from "../../../coordinator/storage/open.js";
import { KindredError } from "../../../shared/base/errors.js";
import { temporaryFolder } from "../../support/federation.js";

const folder = temporaryFolder();
after(() => folder.remove());

test("a folder is named by a path or by a URL, absolute or relative, with any characters", async () => {
  const place = join(folder.path, "a b%20#?é");
  const names = [
    place,
    relative(process.cwd(), place),
    pathToFileURL(place).href,
    `file:${encodeURIComponent(relative(process.cwd(), place))}`,
    `FILE:${pathToFileURL(place).pathname}`,
  ];
  for (const [i, name] of names.entries()) {
    assert.equal(stateFolder(name), place);
    const state = await openState(name);
    assert.equal(await state.records.memo("last"), i === 0 ? undefined : names[i - 1], name);
    await state.records.saveMemo("last", name);
    await state.close();
    const reader = await readState(name);
    assert.equal(await reader.records.memo("last"), name);
    await reader.close();
  }
  assert.ok(existsSync(join(place, "state.db")));
});

test("a state in memory is new each time, or stays under its name", async () => {
  const first = await openState("memory:");
  await first.records.saveMemo("a", "1");
  const second = await openState("memory:");
  assert.equal(await second.records.memo("a"), undefined);
  const named = await openState("memory:open.test");
  await named.records.saveMemo("a", "2");
  await named.close();
  const again = await openState("memory:open.test");
  assert.equal(await again.records.memo("a"), "2");
  assert.equal(stateFolder("memory:"), undefined);
  await assert.rejects(readState("memory:"), { code: "not_found" });
  await assert.rejects(readState("memory:unknown"), { code: "not_found" });
});

test("another scheme is refused by name, with those that are supported", async () => {
  for (const [url, scheme] of [
    ["postgres://host/db", "postgres:"],
    ["s3:bucket/run", "s3:"],
    ["constructor:x", "constructor:"],
    ["runs:1/state", "runs:"],
  ] as const) {
    for (const call of [openState, readState]) {
      await assert.rejects(
        async () => call(url),
        (error) =>
          error instanceof KindredError &&
          error.code === "unsupported" &&
          error.message.includes(`one of file:, memory:, got ${scheme}`),
        url,
      );
    }
  }
});

test("a URL of another host, or one that is no URL, is refused", async () => {
  for (const url of ["file://host/run", "file:///%E0%A4%A", "file:%E0%A4%A"]) {
    await assert.rejects(openState(url), {
      code: "invalid_option",
      message: /is no URL of a folder; expected file:\/\/\//,
    });
  }
});
