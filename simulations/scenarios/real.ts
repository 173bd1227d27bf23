/**
 * Populations of real data, from the folder that KINDRED_DATA names: speaking roles of Shakespeare's plays as natural clients,
 * and text classification sets whose clients share a prompt and nothing that tells the sets apart.
 */
import { createReadStream, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";

/** The folder of real models and datasets. @throws {KindredError} `not_found` saying what to set */
export function realData(...parts: readonly string[]): string {
  const folder = process.env.KINDRED_DATA;
  if (folder === undefined) {
    throw new KindredError(
      "not_found",
      "this scenario needs real data: set KINDRED_DATA to the folder that holds datasets/ and models/",
    );
  }
  const path = join(folder, ...parts);
  if (!existsSync(path)) throw new KindredError("not_found", `${path}: is not there; KINDRED_DATA names ${folder}`);
  return path;
}

/** How a set's fields make a text. */
const SETS: Readonly<Record<string, { readonly folder: string; readonly text: string }>> = {
  emotion: { folder: "textcls/emotion", text: "{text}" },
  sms_spam: { folder: "textcls/sms_spam", text: "{text}" },
  ag_news: { folder: "textcls/ag_news", text: "{text}" },
  sst2: { folder: "textcls/sst2", text: "{text}" },
  amazon_electronics: { folder: "textcls/amazon_electronics", text: "{text}" },
  tweet_offensive: { folder: "textcls/tweet_offensive", text: "{text}" },
  tweet_sentiment: { folder: "textcls/tweet_sentiment", text: "{text}" },
  trec: { folder: "textcls/trec", text: "{text}" },
  cola: { folder: "textcls/cola", text: "{text}" },
  subj: { folder: "textcls/subj", text: "{text}" },
  cb: { folder: "paper10/cb", text: "{premise} {hypothesis}" },
  rte: { folder: "paper10/rte", text: "{premise} {hypothesis}" },
};

export const TEXT_SETS: readonly string[] = Object.keys(SETS);

export interface SetOptions {
  readonly sets: readonly string[];
  /** Most rows of each split. */
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly seed: number;
}

/** One client a set, as lines of a population file: `Text: ...\nAnswer:` -> ` label`. */
export async function textSetPopulation({ sets, seed, ...limits }: SetOptions): Promise<string> {
  const lines: string[] = [];
  for (const name of sets) {
    const set = SETS[name];
    if (set === undefined)
      throw new KindredError("invalid_option", `no set is called ${name}; there are ${TEXT_SETS.join(", ")}`);
    const folder = realData("datasets", ...set.folder.split("/"));
    const { labels } = JSON.parse(await readFile(join(folder, "meta.json"), "utf8")) as { labels: string[] };
    const choices = labels.map((label) => ` ${label}`);
    const splits: Record<string, unknown> = {};
    for (const split of ["train", "validation", "test"] as const) {
      const rows: unknown[] = [];
      for await (const line of createInterface({ input: createReadStream(join(folder, `${split}.jsonl`)) })) {
        if (line.trim() === "") continue;
        const row = JSON.parse(line) as Record<string, string>;
        const text = set.text.replaceAll(/\{(\w+)\}/g, (_, field: string) => String(row[field]).trim());
        rows.push({ prompt: `Text: ${text}\nAnswer:`, completion: ` ${row.label_text}`, choices });
      }
      splits[split] = new SeededRng(seed, "rows", name, split).shuffle(rows).slice(0, limits[split]);
    }
    lines.push(JSON.stringify({ client: name, ...splits }));
  }
  return `${lines.join("\n")}\n`;
}

/** The first `clients` speaking roles, as they are in the data. */
export async function rolePopulation(clients: number): Promise<string> {
  const file = realData("datasets", "federated", "shakespeare_roles", "demo_100_clients.jsonl");
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line.trim() !== "");
  return `${lines.slice(0, clients).join("\n")}\n`;
}
