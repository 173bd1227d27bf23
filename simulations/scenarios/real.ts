/**
 * Populations of real data, from the folder in KINDRED_DATA: speaking roles of Shakespeare's plays as natural clients, and text
 * classification sets as clients whose prompts have one form for all sets.
 */
import { createReadStream, existsSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { KindredError } from "../../shared/base/errors.js";
import { SeededRng } from "../../shared/base/random.js";

/** A path in the folder of real models and datasets. @throws {KindredError} `not_found` */
export function realData(...parts: readonly string[]): string {
  const folder = process.env.KINDRED_DATA;
  if (folder === undefined) {
    throw new KindredError(
      "not_found",
      "KINDRED_DATA: not set; this scenario needs the folder that contains datasets/ and models/",
    );
  }
  const path = join(folder, ...parts);
  if (!existsSync(path)) throw new KindredError("not_found", `${path}: not found; KINDRED_DATA is ${folder}`);
  return path;
}

interface TextSet {
  readonly folder: string;
  /** Template of a text by a row's fields: `{field}`, or `{field.0}` for a list. */
  readonly text: string;
  /** Answers that replace the labels' own names. */
  readonly answers?: Readonly<Record<string, string>>;
}

const letters = (...labels: readonly string[]): Record<string, string> =>
  Object.fromEntries(labels.map((label, k) => [label, "ABCD"[k]!]));

const CB: TextSet = { folder: "paper10/cb", text: "{premise} {hypothesis}" };
const RTE: TextSet = { folder: "paper10/rte", text: "{premise} {hypothesis}" };

const SETS: Readonly<Record<string, TextSet>> = {
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
  cb: CB,
  rte: RTE,
};

/** Twelve sets whose prompts have the same form. */
export const TEXT_SETS: readonly string[] = Object.keys(SETS);

/** The ten tasks of Li et al. 2025, each with its question. */
const TASKS: Readonly<Record<string, TextSet>> = {
  cb: CB,
  rte: RTE,
  copa: {
    folder: "paper10/copa",
    text: "{premise} What is the {question}? A: {choice1} B: {choice2}",
    answers: letters("choice1", "choice2"),
  },
  wic: { folder: "paper10/wic", text: "{sentence1} {sentence2} Does {word} mean the same?" },
  wsc: { folder: "paper10/wsc", text: "{text} Does {span2_text} stand for {span1_text}?" },
  boolq: { folder: "paper10/boolq", text: "{passage} Question: {question}?" },
  multirc: { folder: "paper10/multirc", text: "{paragraph} Question: {question} Is it: {answer}" },
  winogrande: {
    folder: "paper10/winogrande",
    text: "{sentence} A: {option1} B: {option2}",
    answers: letters("option1", "option2"),
  },
  story_cloze: {
    folder: "paper10/story_cloze",
    text: "{sentences.0} {sentences.1} {sentences.2} {sentences.3} A: {ending1} B: {ending2}",
    answers: letters("ending1", "ending2"),
  },
  hellaswag: {
    folder: "paper10/hellaswag",
    text: "{ctx} A: {endings.0} B: {endings.1} C: {endings.2} D: {endings.3}",
  },
};

export const PAPER_TASKS: readonly string[] = Object.keys(TASKS);

export interface SetOptions {
  readonly sets: readonly string[];
  /** Largest number of rows per split. */
  readonly train: number;
  readonly validation: number;
  readonly test: number;
  readonly seed: number;
  /**
   * Replaces the sets' own labels by distinct words of one token.
   * @param word of PLAIN_WORDS. @returns the completion
   */
  readonly plain?: (word: string) => string;
}

/** One word per label, common enough to be a token of any model of English. */
const PLAIN_WORDS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  emotion: { sadness: "sad", joy: "happy", love: "love", anger: "angry", fear: "scared", surprise: "surprised" },
  sms_spam: { ham: "friend", spam: "sell" },
  ag_news: { World: "world", Sports: "ball", Business: "shop", "Sci/Tech": "car" },
  sst2: { negative: "bad", positive: "good" },
  amazon_electronics: { negative: "bad", positive: "good" },
  tweet_offensive: { "not-offensive": "nice", offensive: "mean" },
  tweet_sentiment: { negative: "bad", neutral: "okay", positive: "good" },
  trec: {
    abbreviation: "letter",
    entity: "thing",
    description: "story",
    human: "man",
    location: "home",
    number: "three",
  },
  cola: { unacceptable: "wrong", acceptable: "right" },
  subj: { subjective: "think", objective: "see" },
  cb: { entailment: "yes", contradiction: "no", neutral: "maybe" },
  rte: { entailment: "yes", not_entailment: "no" },
};

function wordOf(set: string, label: string): string {
  const word = PLAIN_WORDS[set]?.[label];
  if (word === undefined)
    throw new KindredError("unsupported", `${set}: label ${label} has no plain word`, { set, label });
  return word;
}

/** One client per set, as lines of a population file: `Text: ...\nAnswer:` -> ` label`. */
export async function textSetPopulation({ sets, seed, plain, ...limits }: SetOptions): Promise<string> {
  const lines: string[] = [];
  for (const name of sets) {
    const set = SETS[name] ?? TASKS[name];
    if (set === undefined) {
      const known = [...new Set([...TEXT_SETS, ...PAPER_TASKS])].join(", ");
      throw new KindredError("invalid_option", `unknown set ${name}; known sets: ${known}`);
    }
    const answer = (label: string): string => plain?.(wordOf(name, label)) ?? ` ${set.answers?.[label] ?? label}`;
    const folder = realData("datasets", ...set.folder.split("/"));
    const { labels } = JSON.parse(await readFile(join(folder, "meta.json"), "utf8")) as { labels: string[] };
    const choices = labels.map(answer);
    const splits: Record<string, unknown> = {};
    for (const split of ["train", "validation", "test"] as const) {
      const rows: unknown[] = [];
      for await (const line of createInterface({ input: createReadStream(join(folder, `${split}.jsonl`)) })) {
        if (line.trim() === "") continue;
        const row = JSON.parse(line) as Record<string, unknown>;
        const text = set.text.replaceAll(/\{([\w.]+)\}/g, (_, path: string) => fieldOf(row, path));
        rows.push({ prompt: `Text: ${text}\nAnswer:`, completion: answer(String(row.label_text)), choices });
      }
      splits[split] = new SeededRng(seed, "rows", name, split).shuffle(rows).slice(0, limits[split]);
    }
    lines.push(JSON.stringify({ client: name, ...splits }));
  }
  return `${lines.join("\n")}\n`;
}

/** @param path a field's name, for a list followed by a point and an index */
function fieldOf(row: Readonly<Record<string, unknown>>, path: string): string {
  const [field = "", index] = path.split(".");
  const value = row[field];
  return String(index === undefined ? value : (value as readonly unknown[])[Number(index)]).trim();
}

/**
 * The same rows with the space before an answer in the prompt. Some tokenizers make it a separate token, so that all choices start
 * with the same token and have no margin against each other.
 */
export function spaceInPrompt(population: string): string {
  const moved = (_: string, value: unknown): unknown => {
    if (typeof value !== "object" || value === null || !("completion" in value)) return value;
    const { prompt, completion, choices } = value as { prompt: string; completion: string; choices: string[] };
    return {
      prompt: `${prompt} `,
      completion: completion.trimStart(),
      choices: choices.map((choice) => choice.trimStart()),
    };
  };
  const lines = population.split("\n").filter((line) => line !== "");
  return lines.map((line) => `${JSON.stringify(JSON.parse(line, moved))}\n`).join("");
}

/** The first `clients` speaking roles of the data, unchanged. */
export async function rolePopulation(clients: number): Promise<string> {
  const file = realData("datasets", "federated", "shakespeare_roles", "demo_100_clients.jsonl");
  const lines = (await readFile(file, "utf8")).split("\n").filter((line) => line.trim() !== "");
  return `${lines.slice(0, clients).join("\n")}\n`;
}
