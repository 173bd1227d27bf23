/**
 * Holds the limits of size for all product code: 80 lines per function, 5 parameters per list, 400 lines per file. The functions
 * are found by TypeScript's own parser. Each exception names its reason and fails the test once nothing needs it.
 */
import assert from "node:assert/strict";
import { relative, sep } from "node:path";
import { test } from "node:test";
import { type Node, type SourceFile, SyntaxKind } from "typescript/unstable/ast";
import {
  isArrowFunction,
  isConstructorDeclaration,
  isFunctionDeclaration,
  isFunctionExpression,
  isGetAccessorDeclaration,
  isMethodDeclaration,
  isSetAccessorDeclaration,
} from "typescript/unstable/ast/is";
import { API } from "typescript/unstable/sync";
import { asset } from "../shared/base/assets.js";

interface Limits {
  readonly functionLines: number;
  readonly parameters: number;
  readonly fileLines: number;
}

const LIMITS: Limits = { functionLines: 80, parameters: 5, fileLines: 400 };

/** Files and folders of product code. Generated code is no part of it. */
const PRODUCT = ["index.ts", "kindred.ts", "cli", "client", "coordinator", "library", "shared", "simulations", "tasks"];

/** `FILE` for its lines, `FILE NAME` for a function's lines, `FILE NAME()` for its parameters -> the reason. */
const EXCEPTIONS: Readonly<Record<string, string>> = {};

/** Everything in a file that is beyond a limit, by the key of its exception. */
function oversized(file: string, source: SourceFile, limits: Limits = LIMITS): Map<string, string> {
  const found = new Map<string, string>();
  const { text } = source;
  const linesOf = (from: number, to: number): number => text.slice(from, to).split("\n").length;
  const fileLines = text.trimEnd().split("\n").length;
  if (fileLines > limits.fileLines) found.set(file, `${fileLines} lines; at most ${limits.fileLines}`);
  const visit = (node: Node, outer: string): void => {
    const name = nameOf(node) ?? outer;
    const parameters = parametersOf(node);
    if (parameters !== undefined) {
      const lines = linesOf(node.getStart(source), node.end);
      if (lines > limits.functionLines && !isClosedSwitch(node))
        found.set(`${file} ${name}`, `${lines} lines; at most ${limits.functionLines}`);
      if (parameters > limits.parameters)
        found.set(`${file} ${name}()`, `${parameters} parameters; at most ${limits.parameters}`);
    }
    node.forEachChild((child) => visit(child, name));
  };
  source.forEachChild((child) => visit(child, ""));
  return found;
}

/** Number of parameters of a function; undefined for any other node. */
function parametersOf(node: Node): number | undefined {
  return isArrowFunction(node) ||
    isConstructorDeclaration(node) ||
    isFunctionDeclaration(node) ||
    isFunctionExpression(node) ||
    isGetAccessorDeclaration(node) ||
    isMethodDeclaration(node) ||
    isSetAccessorDeclaration(node)
    ? node.parameters.length
    : undefined;
}

function nameOf(node: Node): string | undefined {
  const { name } = node as Node & { readonly name?: Node & { readonly text?: string } };
  return isConstructorDeclaration(node) ? "constructor" : name?.text;
}

/** Whether a function's body is one `switch` and little beside it: a case per member of a union. */
function isClosedSwitch(node: Node): boolean {
  const { body } = node as Node & { readonly body?: Node & { readonly statements?: readonly Node[] } };
  const statements = body?.statements ?? [];
  return statements.length <= 6 && statements.some(({ kind }) => kind === SyntaxKind.SwitchStatement);
}

/** Each source of the product with its tree. */
function parsed(): { readonly file: string; readonly source: SourceFile }[] {
  const api = new API({ cwd: asset() });
  try {
    const config = asset("tsconfig.json");
    const { program, rootFiles } = api.updateSnapshot({ openProjects: [config] }).getProject(config)!;
    return rootFiles
      .map((path) => ({ path, file: relative(asset(), path).split(sep).join("/") }))
      .filter(
        ({ file }) => PRODUCT.some((top) => file === top || file.startsWith(`${top}/`)) && !file.includes("/gen/"),
      )
      .map(({ path, file }) => ({ file, source: program.getSourceFile(path)! }));
  } finally {
    api.close();
  }
}

const sources = parsed();

test("no function, no list of parameters and no file of the product is beyond its limit", () => {
  assert.ok(sources.length > 200, `only ${sources.length} sources found`);
  const found = new Map(sources.flatMap(({ file, source }) => [...oversized(file, source)]));
  const beyond = [...found].filter(([key]) => !Object.hasOwn(EXCEPTIONS, key));
  assert.deepEqual(
    beyond.map(([key, says]) => `${key}: ${says}`),
    [],
  );
  assert.deepEqual(
    Object.keys(EXCEPTIONS).filter((key) => !found.has(key)),
    [],
    "exceptions that nothing needs any more",
  );
});

test("positive control: functions, methods, closures, parameters and files beyond a limit are found", () => {
  const file = "client/models/positions.ts";
  const { source } = sources.find((one) => one.file === file)!;
  const found = oversized(file, source, { functionLines: 10, parameters: 1, fileLines: 20 });
  assert.deepEqual([...found.keys()].sort(), [
    file,
    `${file} constructor`,
    `${file} constructor()`,
    `${file} lengthOf()`,
    `${file} place`,
    `${file} place()`,
  ]);
});
