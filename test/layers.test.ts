/**
 * Holds who may import whom. Every folder of sources has a line here; a new folder without one fails. It reads the sources,
 * not the compiled files: imports of types vanish in compilation, and they are dependencies all the same.
 */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { posix, sep } from "node:path";
import { test } from "node:test";
import { asset } from "../shared/base/assets.js";

/**
 * Folder -> folders it may import besides itself. `x/*` is x and all below it. A key `x/*` serves every folder below x that
 * has no line of its own.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  // kindred.ts, index.ts
  "": ["cli", "client/*", "library", "coordinator/*", "shared/*", "simulations/*", "tasks/*"],

  library: [
    "client",
    "client/data",
    "coordinator",
    "coordinator/events",
    "coordinator/strategies",
    "shared/*",
    "simulations/*",
  ],
  cli: ["cli/*", "client/*", "coordinator/*", "shared/*", "simulations/*", "tasks/*"],
  // Jobs on files: checks of what is there, reading and writing around a function of the coordinator.
  "cli/jobs": ["coordinator/*", "shared/*", "simulations", "tasks/*"],
  // Parsers and groups of options know values, not jobs.
  "cli/options": ["shared/*"],

  "shared/base": [],
  "shared/adapters": ["shared/base"],
  "shared/config": [
    "shared/base",
    "shared/adapters",
    "shared/quantization",
    "shared/runtimes",
    "shared/sketch",
    "shared/wire",
    "shared/transforms",
  ],
  "shared/graph": ["shared/base", "shared/quantization"],
  "shared/models": ["shared/base", "shared/adapters", "shared/quantization"],
  "shared/quantization": ["shared/base", "shared/adapters"],
  "shared/runtimes": ["shared/base", "shared/graph", "shared/runtimes/*"],
  "shared/runtimes/install": ["shared/base"],
  "shared/runtimes/onnx": [
    "shared/base",
    "shared/graph",
    "shared/quantization",
    "shared/runtimes",
    "shared/runtimes/install",
  ],
  "shared/runtimes/tfjs": [
    "shared/base",
    "shared/graph",
    "shared/quantization",
    "shared/runtimes",
    "shared/runtimes/install",
  ],
  "shared/sketch": ["shared/base", "shared/adapters"],
  "shared/transforms": ["shared/base", "shared/adapters"],
  "shared/wire": ["shared/base", "shared/adapters", "shared/sketch", "shared/wire/gen", "shared/wire/gen/kindred/v1"],
  "shared/wire/gen": ["shared/wire/gen/kindred/v1"],
  "shared/wire/gen/kindred/v1": [],

  // The kinds of tasks. A kind's work.ts is the client's (RULES below); all else is for both sides.
  tasks: ["tasks/*", "shared/base", "shared/wire", "shared/wire/gen/kindred/v1", "shared/transforms"],
  "tasks/*": [
    "tasks",
    "client/tasks",
    "client/tuning",
    "shared/base",
    "shared/adapters",
    "shared/sketch",
    "shared/wire",
    "shared/transforms",
  ],

  client: ["client/*", "shared/*", "tasks/*"],
  "client/data": ["shared/base", "shared/config"],
  "client/jinja": ["shared/base"],
  "client/doctor": ["client/models", "client/tuning", "shared/*"],
  "client/models": [
    "client/data",
    "client/jinja",
    "shared/base",
    "shared/adapters",
    "shared/graph",
    "shared/models",
    "shared/quantization",
  ],
  "client/outbox": [
    "shared/base",
    "shared/wire",
    "shared/wire/gen/kindred/v1",
    "tasks",
    "client/outbox/transforms",
    "shared/adapters",
    "shared/transforms",
  ],
  "client/outbox/transforms": ["client/outbox", "shared/base", "shared/transforms", "tasks"],
  "client/profile": ["client/data", "client/doctor", "client/models", "client/tasks", "client/tuning", "shared/*"],
  "client/session": [
    "client/outbox",
    "shared/base",
    "shared/wire",
    "shared/wire/gen/kindred/v1",
    "tasks",
    "client/outbox/transforms",
  ],
  "client/tasks": ["client/data", "client/models", "client/session", "client/tuning", "shared/*", "tasks/*"],
  "client/tuning": ["client/data", "client/models", "shared/*", "tasks/*"],

  coordinator: ["coordinator/*", "shared/*", "tasks/*"],
  "coordinator/algebra": ["shared/base"],
  "coordinator/ensemble": ["shared/adapters", "shared/base", "shared/wire", "tasks/*"],
  "coordinator/estimation": [
    "coordinator/algebra",
    "shared/base",
    "shared/config",
    "shared/graph",
    "shared/runtimes",
    "shared/sketch",
  ],
  "coordinator/grouping": ["coordinator/algebra", "shared/base", "shared/graph", "shared/runtimes"],
  "coordinator/events": ["coordinator/storage", "shared/base", "shared/config", "shared/wire"],
  "coordinator/run": ["coordinator/events", "coordinator/roster", "coordinator/storage", "shared/*", "tasks/*"],
  "coordinator/methods": [
    "coordinator/events",
    "coordinator/methods/kindred",
    "coordinator/rounds",
    "coordinator/run",
    "shared/*",
    "tasks/*",
  ],
  "coordinator/methods/kindred": [
    "coordinator/ensemble",
    "coordinator/estimation",
    "coordinator/events",
    "coordinator/grouping",
    "coordinator/methods",
    "coordinator/rounds",
    "coordinator/run",
    "coordinator/stages",
    "shared/*",
    "tasks/*",
  ],
  "coordinator/stages": ["coordinator/algebra", "coordinator/estimation", "coordinator/grouping", "shared/*"],
  "coordinator/roster": [
    "coordinator/events",
    "coordinator/storage",
    "shared/base",
    "shared/wire",
    "tasks",
    "shared/transforms",
  ],
  "coordinator/inbox": [
    "coordinator/storage",
    "coordinator/strategies",
    "shared/base",
    "shared/adapters",
    "shared/transforms",
    "shared/wire",
  ],
  "coordinator/rounds": [
    "coordinator/algebra",
    "coordinator/events",
    "coordinator/run",
    "coordinator/storage",
    "coordinator/strategies",
    "shared/base",
    "shared/adapters",
    "shared/config",
    "shared/wire",
    "tasks/*",
    "coordinator/inbox",
    "shared/transforms",
  ],
  "coordinator/strategies": ["coordinator/algebra", "shared/base", "shared/config"],
  "coordinator/server": [
    "coordinator/events",
    "coordinator/roster",
    "coordinator/storage",
    "shared/base",
    "shared/wire",
    "shared/wire/gen/kindred/v1",
    "tasks",
    "shared/transforms",
  ],
  "coordinator/storage": [
    "coordinator/storage/memory",
    "coordinator/storage/sqlite",
    "shared/base",
    "shared/wire",
    "tasks",
  ],
  "coordinator/storage/files": ["coordinator/storage", "shared/base", "shared/wire"],
  "coordinator/storage/memory": ["coordinator/storage", "shared/base", "shared/wire"],
  "coordinator/storage/sqlite": [
    "coordinator/storage",
    "coordinator/storage/files",
    "shared/base",
    "shared/wire",
    "tasks",
  ],

  "simulations/*": ["client/*", "coordinator/*", "shared/*", "simulations/*", "tasks/*"],
  // Programs of a clone behave at a terminal as the command line does.
  "simulations/benchmarks": ["cli", "client/*", "coordinator/*", "shared/*", "simulations/*", "tasks/*"],
  "simulations/scenarios": ["cli", "client/*", "coordinator/*", "shared/*", "simulations/*"],
  "test/*": ["", "library", "cli/*", "client/*", "coordinator/*", "shared/*", "simulations/*", "tasks/*", "test/*"],
};

/** A rule about single files: whoever imports a target that matches must match `by`. */
interface Rule {
  readonly name: string;
  readonly target: RegExp;
  readonly by: RegExp;
}

const RULES: readonly Rule[] = [
  {
    name: "rows as text are for the client's own edge; models and tuning see token ids (client/data/types.ts)",
    target: /^client\/data\/(?!types\.ts$)/,
    by: /^(client\/data\/|client\/tasks\/|client\/client\.ts$|index\.ts$|simulations\/|test\/)/,
  },
  {
    name: "gRPC is spoken in client/outbox, client/session, coordinator/server and shared/wire alone",
    target: /^(@grpc\/|grpc-)/,
    by: /^(client\/outbox|client\/session|coordinator\/server|shared\/wire|test)\//,
  },
  {
    name: "a client's bytes reach the network through client/outbox alone",
    target: /^(node:)?(net|tls|dgram|http|https|http2)$/,
    by: /^(client\/outbox|coordinator|simulations|test)\//,
  },
  {
    name: "models come from the hub through shared/models alone",
    target: /^@huggingface\/hub$/,
    by: /^(shared\/models|test)\//,
  },
  {
    name: "a compute engine is behind shared/runtimes",
    target: /^(onnxruntime-|@tensorflow\/)/,
    by: /^(shared\/runtimes|simulations\/benchmarks|test)\//,
  },
  {
    name: "ONNX Runtime is loaded by shared/runtimes/onnx/library.ts alone, which switches its telemetry off first",
    target: /^onnxruntime-node$/,
    by: /^shared\/runtimes\/onnx\/library\.ts$/,
  },
  {
    name: "SQLite is behind coordinator/storage/sqlite",
    target: /^(kysely|libsql|better-sqlite3)$/,
    by: /^(coordinator\/storage\/sqlite|test\/coordinator\/storage)\//,
  },
  {
    name: "a kind's work runs at clients alone: the table loads it where a task is done, and nobody else imports it",
    target: /^tasks\/[^/]+\/work\.ts$/,
    by: /^(tasks\/kinds\.ts$|test\/)/,
  },
  {
    name: "in tasks/, work.ts alone may import the client: messages are for both sides",
    target: /^client\//,
    by: /^(tasks\/[^/]+\/work\.ts$|(?!tasks\/))/,
  },
  { name: "kindred.ts is imported by nobody", target: /^kindred\.ts$/, by: /^$/ },
  {
    name: "kindred.ts starts cli/ and nothing else",
    target: /^(client|coordinator|shared|simulations|tasks)\//,
    by: /^(?!kindred\.ts$)/,
  },
  {
    name: "what a process prints, and how it ends, is the business of programs",
    target: /^cli\//,
    by: /^(kindred\.ts$|cli\/|simulations\/(benchmarks|scenarios)\/main\.ts$|test\/)/,
  },
];

/** The specifiers that a source imports, types included; `import()` and `require()` too. */
function importsOf(source: string): string[] {
  const code = source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/\b(?:from|import|require)\s*\(?\s*"([^"\n]+)"/g)].map((match) => match[1] as string);
}

/** A specifier as a path from the root, in sources; a package's or node's name as it is. */
function resolveImport(file: string, specifier: string): string {
  if (!specifier.startsWith(".")) return specifier;
  return posix.join(posix.dirname(file), specifier).replace(/\.js$/, ".ts");
}

const folderOf = (file: string): string => (posix.dirname(file) === "." ? "" : posix.dirname(file));

const covers = (pattern: string, folder: string): boolean =>
  pattern.endsWith("/*")
    ? folder === pattern.slice(0, -2) || folder.startsWith(pattern.slice(0, -1))
    : folder === pattern;

function lineOf(folder: string): readonly string[] | undefined {
  const exact = MAY_IMPORT[folder];
  if (exact !== undefined) return exact;
  const wide = Object.keys(MAY_IMPORT).find((key) => key.endsWith("/*") && covers(key, folder));
  return wide === undefined ? undefined : MAY_IMPORT[wide];
}

/** What is wrong with the imports of a source. */
function violations(file: string, source: string): string[] {
  const folder = folderOf(file);
  const allowed = lineOf(folder);
  if (allowed === undefined) return [`${folder}: has no line in test/layers.test.ts; say what it may import`];
  return importsOf(source).flatMap((specifier) => {
    const target = resolveImport(file, specifier);
    const own = specifier.startsWith(".");
    const to = folderOf(target);
    const broken = RULES.filter((rule) => rule.target.test(target) && !rule.by.test(file)).map(
      (rule) => `${file} imports ${target}: ${rule.name}`,
    );
    if (own && to !== folder && !allowed.some((pattern) => covers(pattern, to))) {
      broken.push(`${file} imports ${target}: ${folder || "the root"} may import ${allowed.join(", ") || "nothing"}`);
    }
    return broken;
  });
}

/** This file's controls are text that looks like imports. */
const SELF = "test/layers.test.ts";

/** All sources of the project, from the root. */
function sources(): string[] {
  const below = ["cli", "client", "coordinator", "library", "shared", "simulations", "tasks", "test"].flatMap((top) =>
    readdirSync(asset(top), { recursive: true, encoding: "utf8" }).map((name) => `${top}/${name.split(sep).join("/")}`),
  );
  const root = readdirSync(asset()).filter((name) => /\.(ts|mjs|js)$/.test(name));
  return [...root, ...below].filter(
    (name) => /\.(ts|mjs|js)$/.test(name) && !name.includes("/node_modules/") && name !== SELF,
  );
}

test("every import keeps to the table", () => {
  const files = sources();
  assert.ok(files.length > 100, `only ${files.length} sources found`);
  assert.deepEqual(
    files.flatMap((file) => violations(file, readFileSync(asset(file), "utf8"))),
    [],
  );
});

test("every line of the table is of a folder that is there", () => {
  const stale = Object.keys(MAY_IMPORT).filter((key) => !existsSync(asset(key.replace(/\/\*$/, ""))));
  assert.deepEqual(stale, []);
});

test("positive control: each kind of forbidden import is seen", () => {
  const forbidden: readonly (readonly [file: string, source: string, why: RegExp])[] = [
    ["client/tasks/x.ts", `import { Roster } from "../../coordinator/roster/roster.js";`, /may import/],
    ["coordinator/run/x.ts", `import type { EncodedRow } from "../../client/data/types.js";`, /may import/],
    ["shared/wire/x.ts", `export * from "../../client/session/session.js";`, /may import/],
    ["shared/graph/x.ts", `import type { Runtime } from "../runtimes/types.js";`, /may import/],
    ["shared/runtimes/onnx/x.ts", `import { readTensor } from "../../models/files.js";`, /may import/],
    ["coordinator/rounds/x.ts", `import {\n  sample,\n} from "../estimation/sampler.js";`, /may import/],
    ["coordinator/estimation/x.ts", `import { decodeTask } from "../../tasks/envelope.js";`, /may import/],
    ["shared/wire/x.ts", `import type { TaskSpec } from "../../tasks/kinds.js";`, /may import/],
    ["coordinator/roster/x.ts", `import { work } from "../../tasks/evaluate/work.js";`, /kind's work/],
    ["tasks/envelope.ts", `const late = await import("./evaluate/work.js");`, /kind's work/],
    ["client/tasks/x.ts", `import { work } from "../../tasks/evaluate/work.js";`, /kind's work/],
    ["tasks/evaluate/message.ts", `import type { Work } from "../../client/tasks/work.js";`, /messages are for both/],
    ["tasks/evaluate/work.ts", `import { Roster } from "../../coordinator/roster/roster.js";`, /may import/],
    ["coordinator/x.ts", `const late = await import("../simulations/simulate.js");`, /may import/],
    ["client/tuning/x.ts", `import { readRows } from "../data/readers.js";`, /rows as text/],
    ["client/models/x.ts", `import type { Example } from "../data/rows.js";`, /rows as text/],
    ["client/tasks/x.ts", `import { Client } from "@grpc/grpc-js";`, /gRPC/],
    ["client/tuning/x.ts", `import { connect } from "node:net";`, /network/],
    ["client/tasks/x.ts", `import { uploadFile } from "@huggingface/hub";`, /hub/],
    ["coordinator/estimation/x.ts", `import ort from "onnxruntime-node";`, /compute engine/],
    ["shared/runtimes/onnx/x.ts", `import * as ort from "onnxruntime-node";`, /telemetry/],
    ["test/shared/runtimes/x.ts", `const ort = await import("onnxruntime-node");`, /telemetry/],
    ["simulations/benchmarks/x.ts", `const ort = require("onnxruntime-node");`, /telemetry/],
    ["coordinator/storage/open.ts", `import Database from "libsql";`, /SQLite/],
    ["simulations/x.ts", `import "../kindred.js";`, /nobody/],
    ["simulations/scenarios/x.ts", `import { runJob } from "../../cli/process.js";`, /business of programs/],
    ["shared/base/x.ts", `import { runJob } from "../../cli/process.js";`, /may import/],
    ["cli/options/x.ts", `import { runClient } from "../../client/client.js";`, /may import/],
    ["kindred.ts", `import { runClient } from "./client/client.js";`, /nothing else/],
    ["index.ts", `export { runJob } from "./cli/process.js";`, /business of programs/],
    ["shared/novelty/x.ts", "", /has no line/],
    ["client/data/deeper/x.ts", "", /has no line/],
    ["novelty/x.ts", "", /has no line/],
  ];
  for (const [file, source, why] of forbidden) assert.match(violations(file, source).join("\n"), why, file);
});

test("negative control: what the table permits, and words that are no imports, pass", () => {
  const permitted: readonly (readonly [file: string, source: string])[] = [
    ["client/tuning/x.ts", `import type { EncodedRow } from "../data/types.js";`],
    ["tasks/kinds.ts", `const load = () => import("./evaluate/work.js");`],
    ["tasks/evaluate/work.ts", `import type { Work } from "../../client/tasks/work.js";`],
    ["coordinator/rounds/x.ts", `import type { TrainingSpec } from "../../tasks/train-adapter/message.js";`],
    ["client/client.ts", `import { loadClient } from "./data/load.js";`],
    ["coordinator/stages/x.ts", `import { sampleSubsets } from "../estimation/sampler.js";`],
    ["client/tuning/x.ts", `// as in: import { a } from "../../coordinator/a.js"\n/* from "../session/session.js" */`],
    ["test/client/data/x.ts", `import { readRows } from "../../../client/data/readers.js";`],
  ];
  for (const [file, source] of permitted) assert.deepEqual(violations(file, source), [], file);
});

test("a client calls no fetch, which would be a second way out", () => {
  const calls = /(?<![\w.])fetch\s*\(/;
  assert.match("await fetch(url)", calls);
  const files = sources().filter((file) => file.startsWith("client/"));
  assert.deepEqual(
    files.filter((file) => calls.test(readFileSync(asset(file), "utf8"))),
    [],
  );
});

test("kindred.ts alone ends the process of a command", () => {
  const ends = /\bprocess\.exit\s*\(/;
  assert.match("process.exit(1)", ends);
  assert.doesNotMatch("process.exitCode = 1", ends);
  // Besides it the programs of a clone, which are in no command: builds, benchmarks with their processes, scenarios, tests.
  const programs =
    /^(kindred\.ts|build\.mjs|simulations\/\w+\/(main|.*-child|growth-point)\.ts|shared\/wire\/generate\.mjs|test\/.*)$/;
  assert.deepEqual(
    sources().filter((file) => ends.test(readFileSync(asset(file), "utf8")) && !programs.test(file)),
    [],
  );
});
