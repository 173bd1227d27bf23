/** The image and the federation of containers, as far as their files show it. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { Command } from "commander";
import { parse } from "yaml";
import { COMMANDS } from "../cli/commands.js";
import { generalOptions } from "../cli/options/general.js";
import { asset } from "../shared/base/assets.js";

interface Service {
  readonly command: readonly string[];
  readonly restart: string;
  readonly healthcheck: { readonly test: readonly string[] };
}

const compose = parse(readFileSync(asset("docker-compose.yml"), "utf8"), { merge: true }) as {
  readonly services: Readonly<Record<string, Service>>;
};

test("every service runs a command with options that it has, is restarted so many times, and is checked by a program", async () => {
  const entries = new Map(
    Object.values(COMMANDS).flatMap((group) => group.map((entry) => [entry.name, entry] as const)),
  );
  for (const [name, { command, restart, healthcheck }] of Object.entries(compose.services)) {
    const [word = "", ...words] = command;
    const entry = entries.get(word);
    assert.ok(entry, `${name}: kindred ${word}`);
    const options = generalOptions((await entry.load())(new Command(word))).options.map(({ long }) => long);
    for (const option of words.filter((each) => each.startsWith("--"))) assert.ok(options.includes(option), option);
    assert.match(restart, /^on-failure:[1-9]$/, name);
    assert.match(healthcheck.test.join(" "), /kindred\.js run show \/state|connect\(7461, 'coordinator'\)/, name);
  }
});

test("what the image copies from the sources is there, and no test is among it", () => {
  const lines = readFileSync(asset("Dockerfile"), "utf8").split("\n");
  const last = lines.findLastIndex((line) => line.startsWith("FROM "));
  const copied = lines.slice(last).flatMap((line) => /^COPY (?!--from)(.*) \S+$/.exec(line)?.[1]?.split(" ") ?? []);
  assert.ok(copied.includes("proto") && copied.includes("simulations/demo/model"));
  for (const path of copied) assert.ok(existsSync(asset(path)), path);
  const ignored = readFileSync(asset(".dockerignore"), "utf8").split("\n");
  assert.ok(ignored.includes("test") && ignored.includes("dist"));
});
