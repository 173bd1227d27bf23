import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { defaultCache } from "../../../shared/base/cache.js";

test("KINDRED_CACHE, XDG_CACHE_HOME or the home folder decide the cache's path", () => {
  assert.equal(defaultCache({ KINDRED_CACHE: "/a", XDG_CACHE_HOME: "/b" }), "/a");
  assert.equal(defaultCache({ XDG_CACHE_HOME: "/b" }), join("/b", "kindred"));
  assert.match(defaultCache({}), /\.cache.kindred$/);
});
