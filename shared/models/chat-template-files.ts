/** The files with chat templates in a model's folder, as transformers has them. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";

export const CHAT_TEMPLATE_FILE = "chat_template.jinja";
/** Holds named templates: `NAME.jinja`. */
export const CHAT_TEMPLATE_FOLDER = "additional_chat_templates";
/** Of the template in `CHAT_TEMPLATE_FILE`, and of one that has no name. */
export const DEFAULT_TEMPLATE = "default";
const ENDING = ".jinja";

/**
 * The chat templates that a folder has as files: the default one, then the named ones in ascending order.
 * @returns pairs of a name and a path relative to the folder; none where the folder cannot be read
 */
export async function chatTemplateFiles(folder: string): Promise<(readonly [name: string, path: string])[]> {
  const list = (path: string): Promise<string[]> => readdir(path).catch((): string[] => []);
  const main = (await list(folder)).filter((name) => name === CHAT_TEMPLATE_FILE);
  const more = (await list(join(folder, CHAT_TEMPLATE_FOLDER))).filter((name) => name.endsWith(ENDING)).sort();
  return [
    ...main.map((name) => [DEFAULT_TEMPLATE, name] as const),
    ...more.map((name) => [name.slice(0, -ENDING.length), `${CHAT_TEMPLATE_FOLDER}/${name}`] as const),
  ];
}
