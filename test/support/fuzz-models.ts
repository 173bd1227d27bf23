/** Opens damaged copies of small models, like every command: unreadable files must be refused with a message. */
import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { moduleNames } from "../../client/models/architecture.js";
import { openBaseModel } from "../../client/models/base.js";
import { openModel } from "../../client/models/open.js";
import { forwardGraph } from "../../client/tuning/graphs.js";
import { loraLayout } from "../../client/tuning/lora.js";
import { asset } from "../../shared/base/assets.js";
import { KindredError } from "../../shared/base/errors.js";
import { silentLog } from "../../shared/base/log.js";
import { silentProgress } from "../../shared/base/progress.js";
import { SeededRng } from "../../shared/base/random.js";
import { damagedBytes, damagedJson } from "./damage.js";

const fixture = (...path: string[]): string => asset("test", "fixtures", ...path);

/** Small models of every family and form, with their files that may be damaged. */
export const MODELS: readonly string[] = [
  fixture("llama", "tied"),
  fixture("llama", "untied-sharded"),
  fixture("llama", "llama3-rope"),
  ...["gpt2", "gptj", "mistral-window", "pythia", "qwen2-layer-types"].map((name) => fixture("families", name)),
  fixture("gguf", "tiny.gguf"),
];

/** More memory than any of the models with its tokenizer and graphs takes. */
const MOST_MEMORY = 300 * 2 ** 20;

export interface FuzzCount {
  opened: number;
  refused: number;
}

/**
 * Opens `cases` damaged copies of a model; those that open must encode a text and give a graph.
 * @throws {AssertionError} where anything but a KindredError that names a file is thrown, or memory goes far beyond the files
 */
export async function fuzzModel(model: string, cases: number, seed: number): Promise<FuzzCount> {
  const root = await mkdtemp(join(tmpdir(), "kindred-fuzz-"));
  const count = { opened: 0, refused: 0 };
  const single = model.endsWith(".gguf");
  const copy = join(root, basename(model));
  await cp(model, copy, { recursive: true });
  const names = single ? [""] : (await readdir(model)).filter((name) => /^(config|tokenizer|model)/.test(name));
  try {
    for (let i = 0; i < cases; i++) {
      const rng = new SeededRng(seed, basename(model), i);
      const name = names[rng.int(names.length)]!;
      const path = join(copy, name);
      const whole = await readFile(join(model, name));
      const asDocument = name.endsWith(".json") && rng.int(4) > 0;
      await writeFile(path, asDocument ? damagedJson(whole.toString(), rng) : damagedBytes(whole, rng));
      const before = process.resourceUsage().maxRSS;
      try {
        await use(copy, names.includes("tokenizer.json") || single);
        count.opened++;
      } catch (error) {
        const where = `case ${i} of ${basename(model)}, seed ${seed}, ${name}`;
        assert.ok(error instanceof KindredError, `${where}: ${(error as Error)?.stack ?? error}`);
        assert.notEqual(error.code, "internal", `${where}: ${error.stack}`);
        assert.ok(error.message.includes(root), `${where}: names no file: ${error.message}`);
        assert.ok(error.message.length < 2000, `${where}: ${error.message.length} characters`);
        count.refused++;
      }
      const grown = (process.resourceUsage().maxRSS - before) * 1024;
      assert.ok(grown < MOST_MEMORY, `case ${i} of ${basename(model)}, seed ${seed}, ${name}: ${grown} bytes more`);
      await writeFile(path, whole);
    }
  } finally {
    await rm(root, { recursive: true, force: true });
  }
  return count;
}

async function use(path: string, withText: boolean): Promise<void> {
  const options = { log: silentLog, progress: silentProgress, signal: new AbortController().signal };
  const opened = withText ? await openModel(path, options) : undefined;
  const base = opened?.base ?? (await openBaseModel(path));
  await opened?.tokenizer.encode(["One day, a girl named Lily."], { specials: true });
  const { architecture } = base;
  const spec = { rank: 2, alpha: 4, modules: moduleNames(architecture), dropout: 0, freezeA: false };
  forwardGraph(base, loraLayout(architecture, spec));
}
