/** The package as its users get it: packed, installed from a registry in an empty project, used by command and by import. */
import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Diagnosis } from "../../client/doctor/doctor.js";
import { asset } from "../../shared/base/assets.js";
import { type InstalledProject, installPackage, noRegistry, type Output } from "../support/package.js";

const { version } = JSON.parse(readFileSync(asset("package.json"), "utf8")) as { version: string };

/**
 * Programs of the documents. Each runs without arguments in the installed project and must end with 0. What `NAME.ts` reads lies in
 * the folder `NAME` beside it, which is copied beside the program.
 */
const EXAMPLES = asset("docs", "examples");
const examples = existsSync(EXAMPLES) ? readdirSync(EXAMPLES).filter((name) => /\.(ts|mjs)$/.test(name)) : [];

/** Examples that import what index.ts does not export yet: they may fail. Take a name off once its example runs. */
const AWAITED: ReadonlySet<string> = new Set();

const wellDone = ({ code, stdout, stderr }: Output): string => {
  assert.equal(code, 0, stdout + stderr);
  return stdout;
};

describe("the installed package", { skip: noRegistry() }, () => {
  let project: InstalledProject;
  before(() => {
    project = installPackage();
  });
  after(() => project?.remove());

  test("the command says its version and prints a schema", () => {
    assert.equal(wellDone(project.kindred("--version")).trim(), version);
    const schema = JSON.parse(wellDone(project.kindred("schema"))) as { properties: object };
    assert.ok("population" in schema.properties);
  });

  test("it computes, and the doctor lists TensorFlow.js as absent with the line that adds it", () => {
    const diagnosis = JSON.parse(wellDone(project.kindred("doctor", "--json", "--quiet"))) as Diagnosis;
    const finding = (name: string) => diagnosis.findings.find((each) => each.name === name)!;
    assert.equal(finding("onnx-cpu").state, "works");
    for (const [name, backend] of [
      ["tfjs-wasm", "@tensorflow/tfjs-backend-wasm"],
      ["tfjs-cpu", "@tensorflow/tfjs-backend-cpu"],
    ] as const) {
      const { state, why, command } = finding(name);
      assert.equal(state, "absent");
      assert.equal(command, `npm install @tensorflow/tfjs-core@4.22.0 ${backend}@4.22.0`);
      assert.equal(why, `${backend} is not installed (${command})`);
    }
    assert.equal(diagnosis.libraries.find(({ name }) => name === "TensorFlow.js (wasm)")?.installed, false);
  });

  test("a user's mistake ends with 2 and one line", () => {
    const { code, stderr } = project.kindred("simulate");
    assert.equal(code, 2);
    assert.match(stderr, /^kindred: [^\n]*--out[^\n]*\n$/);
  });

  test("plain JavaScript imports it, its package.json, and nothing behind them", () => {
    project.write(
      "plain.mjs",
      `import { KindredError, silentLog } from "kindred";
      import manifest from "kindred/package.json" with { type: "json" };
      silentLog.child({ a: 1 }).error("unseen");
      const error = new KindredError("not_found", "x: is missing", { x: 1 });
      const inner = await import("kindred/dist/kindred.js").catch(({ code }) => code);
      console.log(JSON.stringify([manifest.version, error.code, error.facts, error instanceof Error, inner]));`,
    );
    const { code, stdout, stderr } = project.run("plain.mjs");
    assert.equal(code, 0, stderr);
    assert.deepEqual(JSON.parse(stdout), [version, "not_found", { x: 1 }, true, "ERR_PACKAGE_PATH_NOT_EXPORTED"]);
  });

  test("CommonJS requires it", () => {
    project.write("common.cjs", `console.log(new (require("kindred").KindredError)("too_large", "x").code);`);
    assert.equal(wellDone(project.run("common.cjs")), "too_large\n");
  });

  test("TypeScript compiles against its declarations, which know what is wrong", () => {
    const source = (code: string): string =>
      `import { type ErrorCode, KindredError, type Logger, silentLog } from "kindred";
      const log: Logger = silentLog;
      const code: ErrorCode = ${JSON.stringify(code)};
      log.info(new KindredError(code, "x").code, { round: 3 });
      console.log(code);\n`;
    project.write("typed.ts", source("invalid_data"));
    wellDone(project.compile("typed.ts"));
    assert.equal(wellDone(project.run("typed.ts")), "invalid_data\n");
    project.write("wrong.ts", source("no_such_code"));
    const { code, stdout } = project.compile("wrong.ts");
    assert.notEqual(code, 0);
    assert.match(stdout, /wrong\.ts\(3,13\): error TS2322/);
  });

  test("every example that is awaited exists", () => {
    assert.deepEqual(
      [...AWAITED].filter((name) => !examples.includes(name)),
      [],
    );
  });

  for (const name of examples) {
    test(`the example ${name} runs`, { todo: AWAITED.has(name) }, () => {
      const files = join(EXAMPLES, name.replace(/\.(ts|mjs)$/, ""));
      if (existsSync(files)) cpSync(files, join(project.folder, basename(files)), { recursive: true });
      project.write(name, readFileSync(join(EXAMPLES, name), "utf8"));
      if (name.endsWith(".ts")) wellDone(project.compile(name));
      wellDone(project.run(name));
    });
  }
});
