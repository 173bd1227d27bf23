/** Reads a configuration file (YAML 1.2, of which JSON is a part) and checks it against a schema. Errors name file and line. */
import { open, stat } from "node:fs/promises";
import {
  type Document,
  isMap,
  isNode,
  isPair,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Scalar,
  visit,
  type YAMLError,
} from "yaml";
import type { z } from "zod";
import { KindredError } from "../base/errors.js";
import { type Mistake, mistakesOf, type Path, pathText } from "./issues.js";

/** A list of ten thousand clients fits; a data file named by mistake does not. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

export function invalid(where: string, message: string, cause?: unknown): KindredError {
  return new KindredError("invalid_config", `${where}: ${message}`, { where }, cause);
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
    // Opening a named pipe would block, and a device has no end.
    if (!(await stat(file)).isFile()) throw invalid(file, "is not a file; name a file of options in YAML");
    const handle = await open(file, "r");
    try {
      const { size } = await handle.stat();
      if (size > MAX_CONFIG_BYTES)
        throw invalid(file, `too large; expected at most ${MAX_CONFIG_BYTES} bytes, got ${size}`);
      bytes = await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (cause) {
    if (cause instanceof KindredError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === "ENOENT") throw new KindredError("not_found", `${file}: no such configuration file`, { file }, cause);
    throw invalid(file, `cannot be read (${message})`, cause);
  }
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw invalid(file, "not valid UTF-8; expected UTF-8 text; save the file as UTF-8", cause);
  }
}

/** Line of a field, or of its key. Of a field that is missing: the line of the nearest block around it. */
function lineOf(document: Document, lines: LineCounter, { path, key }: Mistake): number | undefined {
  const keyed = (above: Path, name: PropertyKey): number | undefined => {
    const map = above.length === 0 ? document.contents : document.getIn(above, true);
    if (!isMap(map)) return undefined;
    const pair = map.items.find((item) => isScalar(item.key) && String(item.key.value) === String(name));
    return isNode(pair?.key) ? pair.key.range?.[0] : undefined;
  };
  for (let depth = path.length; depth > 0; depth--) {
    const above = path.slice(0, depth - 1);
    const node = document.getIn(path.slice(0, depth), true);
    const value = isNode(node) ? node.range?.[0] : undefined;
    const offset = key || value === undefined ? (keyed(above, path[depth - 1] as PropertyKey) ?? value) : value;
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

/** The text of a plain scalar (without quotes) that is not read as a text: a number, true, null. */
function sourceOf(node: unknown): string | undefined {
  return isScalar(node) && node.type === "PLAIN" && typeof node.value !== "string" ? node.source : undefined;
}

/** Keys are what is written: 007 and 7 are two labels, as 9007199254740993 and 9007199254740992 are. */
function writtenKey(key: unknown): void {
  if (isScalar(key)) key.value = sourceOf(key) ?? key.value;
}

const sameKey = (a: unknown, b: unknown): boolean =>
  a === b || (isScalar(a) && isScalar(b) && (sourceOf(a) ?? a.value) === (sourceOf(b) ?? b.value));

/**
 * A visitor that checks numbers.
 * @throws {KindredError} `invalid_config` for a number that means another one elsewhere, or that a double cannot hold
 */
const checkNumber =
  (file: string, lines: LineCounter) =>
  (_: unknown, scalar: Scalar, above: readonly unknown[]): void => {
    const source = sourceOf(scalar);
    if (typeof scalar.value !== "number" || source === undefined) return;
    const where = `${file}:${lines.linePos(scalar.range?.[0] ?? 0).line}: ${pathText(pathOf([...above, scalar]))}`;
    if (/^[-+]?0\d/.test(source)) {
      throw invalid(
        where,
        `${source} is ${scalar.value} in YAML 1.2 and another value in YAML 1.1; write it without the zero, or in quotes for a text`,
      );
    }
    if (/^[-+]?\d+$/.test(source) && !Number.isSafeInteger(scalar.value)) {
      throw invalid(
        where,
        `${source} is beyond 2^53 and would be rounded; write a smaller number, or quotes for a text`,
      );
    }
  };

/** The path of the last of some nested nodes. */
function pathOf(nodes: readonly unknown[]): PropertyKey[] {
  return nodes.flatMap((node, at): PropertyKey[] => {
    if (isPair(node)) return [String(isScalar(node.key) ? node.key.value : node.key)];
    return isSeq(node) ? [node.items.indexOf(nodes[at + 1])] : [];
  });
}

/** A mistake in the file's form, in words for the user. */
function yamlMistake({ code, message, pos: [start] }: YAMLError, text: string): string {
  if (code === "DUPLICATE_KEY") {
    const [key] = /^(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^:\n]*)/.exec(text.slice(start, start + 100)) ?? [""];
    return `${key.trim()}: given twice; keep one`;
  }
  if (code === "MULTIPLE_DOCS") return "holds a second document (---); keep one";
  return `not valid YAML: ${message.replace(/\s+/g, " ")}`;
}

/**
 * The file's options, checked against the schema.
 * @throws {KindredError} `not_found`, or `invalid_config` with one line that names `file:LINE`, field and value
 */
export async function readConfig<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S>> {
  const lines = new LineCounter();
  const text = await readText(file);
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: sameKey });
  const broken = document.errors[0] ?? document.warnings[0];
  if (broken !== undefined) {
    const { line } = lines.linePos(broken.pos[0]);
    throw invalid(`${file}:${line}`, yamlMistake(broken, text), broken);
  }
  visit(document, { Pair: (_, { key }) => writtenKey(key), Scalar: checkNumber(file, lines) });
  let input: unknown;
  try {
    input = document.toJS();
  } catch (cause) {
    // An alias that points nowhere, or aliases that multiply without end.
    throw invalid(file, `not valid YAML: ${(cause as Error).message}`, cause);
  }
  if (input === null || input === undefined) throw invalid(file, "empty; expected a map of options");
  const result = schema.safeParse(input);
  if (result.success) return result.data;
  const written = (path: Path): string | undefined => sourceOf(document.getIn(path, true));
  const [first, ...others] = mistakesOf(schema, result.error.issues, input, written);
  if (first === undefined) throw invalid(file, result.error.message);
  const line = lineOf(document, lines, first);
  const more = others.length === 0 ? "" : ` (and ${others.length} more mistake${others.length === 1 ? "" : "s"})`;
  throw invalid(line === undefined ? file : `${file}:${line}`, `${first.message}${more}`);
}
