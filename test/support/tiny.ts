/** Runs of a few seconds: the tiny fixture model, and populations whose two groups answer the same questions in opposite ways. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { asset } from "../../shared/base/assets.js";
import { SeededRng } from "../../shared/base/random.js";

/** A Llama of two layers with hidden size 32, with its tokenizer. */
export const TINY_MODEL = asset("test", "fixtures", "llama", "tied");

export interface TinyRow {
  readonly prompt: string;
  readonly completion: string;
  readonly choices: readonly string[];
}

export interface TinyClient {
  readonly client: string;
  readonly group: string;
  readonly train: readonly TinyRow[];
  readonly validation: readonly TinyRow[];
  readonly test: readonly TinyRow[];
}

export interface TinyOptions {
  readonly clients?: number;
  readonly groups?: 1 | 2;
  readonly train?: number;
  readonly validation?: number;
  readonly test?: number;
  readonly seed?: number;
}

/** Clients c0, c1, ..., alternately in the two groups; the second group answers yes where the first answers no. */
export function tinyClients(options: TinyOptions = {}): TinyClient[] {
  const { clients = 6, groups = 2, train = 16, validation = 8, test = 8, seed = 1 } = options;
  return Array.from({ length: clients }, (_, at) => {
    const rng = new SeededRng(seed, "tiny", at);
    const group = at % groups;
    const rows = (count: number): TinyRow[] =>
      Array.from({ length: count }, () => {
        const good = rng.int(2) === 1;
        const prompt = `the ${rng.pick(["movie", "food", "rain", "dog"])} was ${good ? "good" : "bad"}`;
        return { prompt, completion: good === (group === 0) ? " yes" : " no", choices: [" yes", " no"] };
      });
    return { client: `c${at}`, group: `g${group}`, train: rows(train), validation: rows(validation), test: rows(test) };
  });
}

export const jsonLines = (rows: readonly unknown[]): string => rows.map((row) => `${JSON.stringify(row)}\n`).join("");

/** Options of a short run with all stages. */
export const TINY_OPTIONS = {
  adapter: { rank: 4, alpha: 8 },
  training: { epochs: 2, batch: 8, learningRate: 0.03 },
  estimation: { dim: 64, subsets: 24 },
  runtime: { threads: 1 },
} as const;

/** Writes population.jsonl and run.yaml. @returns the configuration's path */
export function writeTinyRun(folder: string, population: readonly unknown[], options: object = {}): string {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "population.jsonl"), jsonLines(population));
  const config = join(folder, "run.yaml");
  // JSON is YAML.
  const all = { model: TINY_MODEL, population: "population.jsonl", ...TINY_OPTIONS, ...options };
  writeFileSync(config, JSON.stringify(all, null, 1));
  return config;
}

/** Writes a client's rows as the folder that `kindred client` reads. @returns its path */
export function writeClientFolder(folder: string, { client, train, validation, test }: TinyClient): string {
  const path = join(folder, client);
  mkdirSync(path, { recursive: true });
  for (const [split, rows] of Object.entries({ train, validation, test })) {
    writeFileSync(join(path, `${split}.jsonl`), jsonLines(rows));
  }
  return path;
}
