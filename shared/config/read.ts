/** Reads a configuration file (YAML 1.2, of which JSON is a part) and checks it against a schema. Errors name file and line. */
import { open } from "node:fs/promises";
import { type Document, isMap, isNode, isScalar, LineCounter, parseDocument } from "yaml";
import type { z } from "zod";
import { KindredError } from "../base/errors.js";
import { type Mistake, mistakesOf, type Path } from "./issues.js";

/** A list of ten thousand clients fits; a data file named by mistake does not. */
const MAX_CONFIG_BYTES = 4 * 1024 * 1024;

export function invalid(where: string, message: string, cause?: unknown): KindredError {
  return new KindredError("invalid_config", `${where}: ${message}`, { where }, cause);
}

async function readText(file: string): Promise<string> {
  let bytes: Uint8Array;
  try {
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

/**
 * The file's options, checked against the schema.
 * @throws {KindredError} `not_found`, or `invalid_config` with one line that names `file:LINE`, field and value
 */
export async function readConfig<S extends z.ZodType>(file: string, schema: S): Promise<z.output<S>> {
  const lines = new LineCounter();
  const document = parseDocument(await readText(file), { lineCounter: lines, prettyErrors: false });
  const broken = document.errors[0];
  if (broken !== undefined) {
    const { line } = lines.linePos(broken.pos[0]);
    throw invalid(`${file}:${line}`, `not valid YAML: ${broken.message.replace(/\s+/g, " ")}`, broken);
  }
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
  const [first, ...others] = mistakesOf(schema, result.error.issues, input);
  if (first === undefined) throw invalid(file, result.error.message);
  const line = lineOf(document, lines, first);
  const more = others.length === 0 ? "" : ` (and ${others.length} more mistake${others.length === 1 ? "" : "s"})`;
  throw invalid(line === undefined ? file : `${file}:${line}`, `${first.message}${more}`);
}
