import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { fileURLToPath } from "node:url";
import { Commands } from "./support/commands.js";
import { jsonLines, TINY_MODEL } from "./support/tiny.js";

const program = fileURLToPath(new URL("../kindred.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "kindred-cli-"));
const commands = new Commands();
after(() => {
  commands.close();
  rmSync(folder, { recursive: true });
});

const kindred = (...words: string[]) => commands.run(words, folder);

/** A user's mistake: exit code 2, nothing on stdout, one line on stderr. */
async function refuses(words: string[], message: RegExp) {
  const { code, stdout, stderr } = await kindred(...words);
  assert.match(stderr, message);
  assert.match(stderr, /^kindred: [^\n]+\n$/);
  assert.equal(stdout, "");
  assert.equal(code, 2);
}

function config(text: string): string {
  writeFileSync(join(folder, "run.yaml"), text);
  return "run.yaml";
}

test("words that are no command or option are a user's mistake, on one line", async () => {
  await refuses([], /no command given/);
  await refuses(["simulte"], /unknown command 'simulte' \(did you mean 'simulate'\?\); see kindred --help/);
  await refuses(["simulate", "a.yaml", "--out", "x", "--jsno"], /unknown option '--jsno' \(did you mean '--json'\?\)/);
  await refuses(
    ["simulate", "a.yaml", "--otu", "x"],
    /unknown option '--otu' \(did you mean '--out'\?\); see kindred simulate/,
  );
  await refuses(["simulate", "--out", "x"], /missing required argument 'config'/);
  await refuses(["simulate", "a.yaml"], /required option '--out <dir>' not specified/);
  await refuses(["simulate", "a.yaml", "b.yaml", "--out", "x"], /too many arguments/);
  await refuses(["demo", "--seed", "-1"], /'-1'|argument missing/);
  await refuses(["demo", "--seed", "1.5"], /'1\.5' is invalid.*whole number/);
  await refuses(["evaluate", "--model", "m", "--data", "d.jsonl", "--choices", "yes"], /JSON object/);
  await refuses(["runtime", "fetch"], /'fetch' is invalid.*Allowed choices are add, remove, list/);
  await refuses(["runtime", "add"], /runtime add takes a name: cuda or tfjs/);
  await refuses(["runtime", "list", "cuda"], /runtime list takes no name/);
  await refuses(["runtime", "add", "rocm"], /there is no runtime rocm to add; there are cuda and tfjs/);
  await refuses(["runtime", "add", "cuda", "--index", "pypi"], /--index must be the http or https address/);
  await refuses(["schema", "cilent"], /schema cilent: no such kind of configuration; expected simulate or coordinator/);
});

test("predict writes an answer a row, and refuses words that do not go together", async () => {
  const predict = ["predict", "--model", TINY_MODEL, "--data", "rows.jsonl"];
  await refuses([...predict, "--client", "ann"], /--ensemble and --client go together/);
  await refuses([...predict, "--adapter", "a", "--ensemble", "e", "--client", "ann"], /--adapter excludes --ensemble/);
  await refuses([...predict, "--temperature", "-1"], /'-1'|argument missing/);
  await refuses([...predict, "--top-p", "1.5"], /'1\.5' is invalid.*above 0 and at most 1/);
  writeFileSync(
    join(folder, "rows.jsonl"),
    jsonLines([{ prompt: "the sky is", choices: [" blue", " red"], completion: " red" }, "the dog"]),
  );
  const printed = await kindred(...predict, "--quiet", "--max-new-tokens", "4");
  assert.equal(printed.stderr, "");
  assert.match(printed.stdout, /^rows\.jsonl:1: " (blue|red)" \(\d+\.\d %, (right|wrong)\)\nrows\.jsonl:2: ".*"\n$/);
  const all = JSON.parse((await kindred(...predict, "--json", "--max-new-tokens", "4")).stdout) as unknown[];
  const { code, stdout } = await kindred(...predict, "--out", "answers.jsonl", "--max-new-tokens", "4");
  assert.deepEqual([code, stdout], [0, "2 answers written to answers.jsonl\n"]);
  assert.equal(readFileSync(join(folder, "answers.jsonl"), "utf8"), jsonLines(all));
});

test("a mistake in a file names file, line, field and value, before anything is read or written", async () => {
  await refuses(["simulate", "none.yaml", "--out", "x"], /^kindred: none\.yaml: no such configuration file/);
  const unknown = config("model: m\npopulation: p.jsonl\nepoch: 3\n");
  await refuses(
    ["simulate", unknown, "--out", "x", "--json"],
    /^kindred: run\.yaml:3: epoch: unknown option; did you mean/,
  );
  const coordinator = ["coordinator", "--listen", "127.0.0.1:0", "--state", "s", "--config"];
  await refuses([...coordinator, config("seed: 1\n")], /^kindred: run\.yaml: minClients: missing; expected/);
  await refuses(
    ["evaluate", "--model", "./none", "--data", "d.jsonl"],
    /^kindred: --model: no such folder .*got "\.\/none"/,
  );
});

test("a coordinator's state is a folder or a URL", async () => {
  const words = ["coordinator", "--config", config("minClients: 2\n"), "--listen", "no.invalid:0", "--state"];
  await refuses(
    [...words, "s3:bucket/run"],
    /^kindred: state s3:bucket\/run: unknown scheme; expected a folder or one of file:/,
  );
  await refuses([...words, "file:by-url/state"], /^kindred: .*no\.invalid/);
  assert.ok(existsSync(join(folder, "by-url", "state", "state.db")));
});

test("what a file holds cannot steer the terminal", async () => {
  await refuses(["simulate", config('"\\u001b[2J": 1\n'), "--out", "x"], /^\P{Cc}+\n$/u);
});

test("a stack trace is shown with --debug alone", async () => {
  assert.doesNotMatch((await kindred("simulate", "none.yaml", "--out", "x")).stderr, /^ {4}at /m);
  const { code, stderr } = await kindred("simulate", "none.yaml", "--out", "x", "--debug");
  assert.match(stderr, /^ {4}at /m);
  assert.equal(code, 2);
});

test("with a log in JSON a mistake is one object on one line too", async () => {
  for (const form of [["--log-format", "json"], ["--log-format=json"]]) {
    const { code, stdout, stderr } = await kindred("simulate", "none.yaml", "--out", "x", ...form);
    assert.equal(code, 2);
    assert.equal(stdout, "");
    const { time, level, message, fields } = JSON.parse(stderr);
    assert.match(time, /^\d{4}-\d\d-\d\dT/);
    assert.deepEqual([level, fields], ["error", { code: 2 }]);
    assert.match(message, /^none\.yaml: /);
  }
});

test("help and version are results: on stdout, exit code 0", async () => {
  for (const args of [["simulate", "--help"], ["help", "simulate"], ["--version"]]) {
    const { code, stdout, stderr } = await kindred(...args);
    assert.equal(code, 0);
    assert.equal(stderr, "");
    assert.notEqual(stdout, "");
  }
  const { stdout } = await kindred("--help");
  for (const command of [
    "simulate",
    "evaluate",
    "predict",
    "sharpness",
    "export",
    "coordinator",
    "client",
    "demo",
    "schema",
  ]) {
    assert.match(stdout, new RegExp(`^ {2}${command} `, "m"));
  }
});

test("the process ends with the exit code", () => {
  for (const [words, code] of [
    [["simulte"], 2],
    [["--version"], 0],
  ] as const) {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, ...words], { encoding: "utf8" });
    assert.deepEqual([status, stdout === "", stderr === ""], [code, code !== 0, code === 0]);
  }
});

test("a reader that stops reading is no error", async () => {
  for (const words of [["schema"], ["--help"]]) {
    const child = spawn(process.execPath, [program, ...words], { stdio: ["ignore", "pipe", "pipe"] });
    child.stdout.destroy();
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    assert.deepEqual(await once(child, "close"), [0, null]);
    assert.equal(stderr, "");
  }
});

test("the schema is one JSON document on stdout", async () => {
  for (const args of [[], ["coordinator"]]) {
    const { code, stdout, stderr } = await kindred("schema", ...args);
    assert.equal(code, 0);
    assert.equal(stderr, "");
    assert.equal(JSON.parse(stdout).type, "object");
  }
});
