/** The documents say what is there: commands, options, scripts, configuration fields, tasks, files. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { before, test } from "node:test";
import { supportedModelTypes } from "../client/models/families.js";
import { asset } from "../shared/base/assets.js";
import { configJsonSchema, loadCoordinatorConfig, loadSimulationConfig } from "../shared/config/config.js";
import { loadPopulation } from "../simulations/population/load.js";
import { kindNamed, kindNames } from "../tasks/kinds.js";
import { Commands } from "./support/commands.js";

const read = (path: string): string => readFileSync(asset(path), "utf8");

const DOCUMENTS = [
  "README.md",
  "ARCHITECTURE.md",
  "PRIVACY.md",
  "CONTRIBUTING.md",
  "simulations/LOG.md",
  ...["docs", "docs/decisions"].flatMap((folder) =>
    readdirSync(asset(folder))
      .filter((name) => name.endsWith(".md"))
      .map((name) => `${folder}/${name}`),
  ),
];

/** Pages for users of the command line. */
const GUIDES = [
  "README.md",
  ...["commands", "data", "deployment", "models", "rows", "runtimes"].map((name) => `docs/${name}.md`),
];

/** Command, or action of one -> what its --help says; that of the program under "". */
const helps = new Map<string, string>();
const help = (command: string): string => helps.get(command) ?? assert.fail(`there is no help of ${command}`);

const commands = (): string[] => [...help("").matchAll(/^ {2}([a-z]+) /gm)].map((match) => match[1] as string);
/** "run show" and the like of a command that has actions with options of their own; else the command. */
const actionsOf = (command: string): string[] => {
  const [, list = ""] = help(command).split(/^Commands:$/m);
  const actions = [...list.matchAll(/^ {2}([a-z]+) /gm)].map((match) => `${command} ${match[1]}`);
  return actions.length > 0 ? actions : [command];
};
const optionsOf = (command: string): Set<string> =>
  new Set([...help(command).matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map((match) => match[1] as string));

before(async () => {
  const program = new Commands();
  const ask = async (command: string): Promise<void> => {
    if (helps.has(command)) return;
    const { code, stdout } = await program.run([...command.split(" ").filter(Boolean), "--help"]);
    assert.equal(code, 0, command);
    helps.set(command, stdout);
  };
  await ask("");
  await Promise.all(commands().map(ask));
  await Promise.all(commands().flatMap(actionsOf).map(ask));
  program.close();
});

/** What is wrong with a command line of a document. */
function flaws(line: string): string[] {
  const [, name = "", ...given] = line.slice(line.indexOf("kindred")).split(/\s+/);
  if (!commands().includes(name)) return [`${line}: there is no command ${name}`];
  const action = actionsOf(name).find((full) => full === `${name} ${given[0]}`);
  const [command, words] = action === undefined ? [name, given] : [action, given.slice(1)];
  const options = optionsOf(command);
  const required = [...help(command).matchAll(/^Usage: .*$/gm)].join("").match(/<(\w+)>/g) ?? [];
  return [
    ...words
      .filter((word) => word.startsWith("--") && !options.has(word))
      .map((word) => `${line}: kindred ${command} has no option ${word}`),
    ...(required.length > 0 && (words[0] ?? "--").startsWith("--") ? [`${line}: ${required[0]} is missing`] : []),
  ];
}

/** Command lines of a document's sh blocks. */
const shellLines = (text: string): string[] =>
  [...text.matchAll(/^```sh\n([\s\S]*?)^```/gm)].flatMap((block) => (block[1] as string).split("\n")).filter(Boolean);

test("every kindred command in the documents has the words and options that the program has", () => {
  const lines = DOCUMENTS.flatMap((path) => shellLines(read(path))).filter((line) => /\bnpx kindred /.test(line));
  assert.ok(lines.length >= 9, `only ${lines.length} commands found`);
  assert.deepEqual(lines.flatMap(flaws), []);
  // Controls: what the check is for.
  assert.match(flaws("npx kindred simulat a.yaml --out x").join(), /no command simulat/);
  assert.match(flaws("npx kindred export run --into x").join(), /no option --into/);
  assert.match(flaws("npx kindred simulate --out x").join(), /<config> is missing/);
  assert.match(flaws("npx kindred run show x --follow").join(), /no option --follow/);
});

test("every option that a page for users names in its text is an option of some command", () => {
  const known = new Set(
    commands()
      .flatMap(actionsOf)
      .flatMap((command) => [...optionsOf(command)]),
  );
  const named = GUIDES.flatMap((path) => [...read(path).matchAll(/`(--[a-z-]+)`/g)].map((match) => match[1] as string));
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter((option) => !known.has(option)),
    [],
  );
});

test("every npm script that the documents name exists", () => {
  const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
  const named = DOCUMENTS.flatMap((path) =>
    [...read(path).matchAll(/\bnpm run ([a-z:]+)/g)].map((match) => match[1] as string),
  );
  assert.ok(named.includes("demo"));
  assert.deepEqual(
    named.filter((name) => scripts[name] === undefined),
    [],
  );
});

interface JsonSchema {
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  /** Of a block with a kind: the first is that without one. */
  readonly oneOf?: readonly JsonSchema[];
  readonly default?: unknown;
}

/** Field -> default, blocks opened. */
function fieldsOf(schema: JsonSchema, prefix = ""): [string, unknown][] {
  const kinds = [...(schema.oneOf ?? [])].reverse().map(({ properties }) => properties);
  const properties: Record<string, JsonSchema> = Object.assign({}, schema.properties, ...kinds);
  return Object.entries(properties).flatMap(([name, field]) =>
    field.properties === undefined && field.oneOf === undefined
      ? [[prefix + name, field.default] as [string, unknown]]
      : fieldsOf(field, `${prefix}${name}.`),
  );
}

test("docs/configuration.md has every option, no other, and the defaults", () => {
  const rows = [
    ...read("docs/configuration.md").matchAll(/^\| (?:<a [^>]*><\/a>)?`([\w.[\]]+)` \|[^|]*\|[^|]*\| ([^|]*) \|/gm),
  ];
  const given = new Map(rows.map(([, name = "", value = ""]) => [name, value.replaceAll("`", "")]));
  const kinds = ["simulate", "coordinator"] as const;
  const fields = new Map(kinds.flatMap((kind) => fieldsOf(configJsonSchema(kind) as JsonSchema)));
  const own = [...given.keys()].filter((name) => !name.startsWith("population[]."));
  assert.deepEqual(own.sort(), [...fields.keys()].sort());
  const shown = (value: unknown): string =>
    typeof value === "string" ? value : JSON.stringify(value).replace(/"/g, "");
  for (const [name, value] of fields)
    if (value !== undefined) assert.equal(given.get(name)?.replaceAll(", ", ","), shown(value), name);
});

test("the examples load, and the README shows the simulation's as it is", async () => {
  const yaml = read("docs/example/simulate.yaml").replace(/^#.*\n/gm, "");
  assert.ok(read("README.md").includes(`\`\`\`yaml\n${yaml}\`\`\``));
  const plan = await loadSimulationConfig(asset("docs", "example", "simulate.yaml"));
  assert.deepEqual(plan.compare, ["base", "shared", "local"]);
  const { clients } = await loadPopulation(plan.population, { seed: plan.seed, format: plan.format });
  assert.deepEqual(
    clients.map(({ name, drawn }) => [name, drawn]),
    ["ferry", "harbour", "meadow", "mill", "orchard", "pier"].map((name) => [name, []]),
  );
  const { minClients, adapter, training } = await loadCoordinatorConfig(asset("docs", "example", "coordinator.yaml"));
  assert.equal(minClients, clients.length);
  assert.deepEqual({ adapter, training }, { adapter: plan.adapter, training: plan.training });
  const generated = spawnSync(process.execPath, [asset("docs", "example", "generate.mjs"), "--check"]);
  assert.equal(generated.status, 0, generated.stderr.toString());
});

test("docs/library.md has the example of index.ts, which the library's test runs", () => {
  const [example = ""] = [...read("index.ts").matchAll(/^ \* ```js\n([\s\S]*?)^ \* ```$/gm)].map((match) => match[1]);
  assert.match(example, /simulate\(/);
  assert.ok(read("docs/library.md").includes(`\`\`\`js\n${example.replace(/^ \* ?/gm, "")}\`\`\``));
});

test("docs/library.md links to every program of docs/examples, once", () => {
  const programs = readdirSync(asset("docs", "examples")).filter((name) => /\.(ts|mjs)$/.test(name));
  const rows = [...read("docs/library.md").matchAll(/^\| \[examples\/[\w.]+\]\(examples\/([\w.]+)\) \|/gm)];
  assert.deepEqual(rows.map((match) => match[1]).sort(), programs.sort());
});

test("the table of docs/strategies.md is the list of kinds", () => {
  const rows = [
    ...read("docs/strategies.md").matchAll(/^\| `(?!kind`)([a-z][a-z-]*)`(?: \(default\))? \| [a-z]/gm),
  ].map((match) => match[1]);
  const options = read("docs/configuration.md").match(/`training\.strategy\.kind` \|[^|]*\| ([^|]*) \|/)?.[1] ?? "";
  assert.deepEqual(rows, options.split(/, | or /));
});

test("PRIVACY.md has a line for every kind of task, and names only fields that the messages have", () => {
  const privacy = read("PRIVACY.md");
  const protos = readdirSync(asset("proto", "kindred", "v1")).map((name) => read(`proto/kindred/v1/${name}`));
  const tasks = kindNames().map((name) => kindNamed(name)?.proto.task.replace("kindred.v1.", ""));
  assert.ok(tasks.length >= 5);
  const lines = [...privacy.matchAll(/^\| `([A-Z]\w+)` \|/gm)].map((match) => match[1] as string);
  assert.deepEqual(lines, tasks);
  const request = protos.join("\n").match(/message EnrolRequest \{([\s\S]*?)\n\}/)?.[1] ?? "";
  const enrolled = [...request.matchAll(/^\s*(?:repeated )?\w+ (\w+) = \d+;/gm)].map((match) => match[1] as string);
  const told = [...privacy.matchAll(/^\| `([a-z]\w+)` \|/gm)].map((match) => match[1] as string);
  assert.deepEqual(told.sort(), enrolled.sort());
});

test("the table of docs/models.md is the table of families", () => {
  const rows = [...read("docs/models.md").matchAll(/^ {2}\| `(?!model_type)(\w+)` \|/gm)].map(
    (match) => match[1] as string,
  );
  assert.deepEqual(rows.sort(), supportedModelTypes().sort());
});

/** The anchors of a page: its own, and those that a heading gets. */
function anchorsOf(page: string): Set<string> {
  const slug = (heading: string): string =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, "")
      .replaceAll(" ", "-");
  const headings = [...page.matchAll(/^#+ (.*)$/gm)].map((match) => slug(match[1] as string));
  return new Set([...headings, ...[...page.matchAll(/<a id="([^"]+)">/g)].map((match) => match[1] as string)]);
}

/** Links of a document to files or anchors that are not there. */
const brokenLinks = (path: string, text: string): string[] =>
  [...text.matchAll(/\]\(([^)#:\s]*)(?:#([^)\s]+))?\)/g)].flatMap(([, file = "", anchor]) => {
    const target = file === "" ? path : join(dirname(path), file);
    if (!existsSync(asset(target))) return [`${path} links to ${file}`];
    const known = anchor === undefined || anchorsOf(file === "" ? text : read(target)).has(anchor);
    return known ? [] : [`${path} links to ${file}#${anchor}`];
  });

test("every file and every place in it that a document links to is there, and so is every folder of the layout", () => {
  assert.deepEqual(
    DOCUMENTS.flatMap((path) => brokenLinks(path, read(path))),
    [],
  );
  // Controls.
  const links = "# The one\n[a](#the-one) [b](#the-other) [c](README.md#try-it) [d](README.md#trial) [e](NOTHING.md)";
  assert.equal(
    brokenLinks("README.md", links).join(),
    "README.md links to #the-other,README.md links to README.md#trial,README.md links to NOTHING.md",
  );
  for (const path of DOCUMENTS) {
    for (const [, target = ""] of read(path).matchAll(
      /`((?:client|coordinator|shared|simulations|tasks|test|proto|docs)\/[\w./-]+)`/g,
    )) {
      assert.ok(existsSync(asset(target)), `${path} names ${target}`);
    }
  }
  const layout = read("ARCHITECTURE.md").match(/^## Layout\n([\s\S]*?)^## /m)?.[1] ?? "";
  let top = "";
  for (const [, indent = "", name = ""] of layout.matchAll(/^ {4}( *)([\w./-]+)/gm)) {
    if (indent === "") top = name;
    assert.ok(existsSync(asset(indent === "" ? name : join(top, name))), `ARCHITECTURE.md lists ${top} ${name}`);
  }
  // And back: every folder of the sources is listed.
  for (const side of ["client", "coordinator", "shared", "tasks"]) {
    for (const entry of readdirSync(asset(side), { withFileTypes: true })) {
      if (entry.isDirectory()) assert.match(layout, new RegExp(`^ {6}${entry.name}/`, "m"), `${side}/${entry.name}`);
    }
  }
});
