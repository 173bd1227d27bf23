import assert from "node:assert/strict";
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { asset } from "../../shared/base/assets.js";
import { Commands } from "../support/commands.js";
import { temporaryFolder } from "../support/federation.js";
import { jsonLines, TINY_MODEL, tinyClients, writeTinyRun } from "../support/tiny.js";

/** A mistake, the command that makes it, and what the one line on stderr must say: where, which value, what to do. */
interface Mistake {
  readonly what: string;
  /** Makes the mistake in a fresh folder. @returns the command's words */
  readonly make: (folder: string) => readonly string[];
  readonly says: readonly RegExp[];
}

function tinyModel(folder: string): string {
  const model = join(folder, "model");
  cpSync(TINY_MODEL, model, { recursive: true });
  return model;
}

/** A model folder with one of its JSON files changed. */
function changedJson(folder: string, file: string, change: (json: Record<string, unknown>) => void): string {
  const model = tinyModel(folder);
  const json = JSON.parse(readFileSync(join(model, file), "utf8"));
  change(json);
  writeFileSync(join(model, file), JSON.stringify(json));
  return model;
}

/** A model folder whose weights are changed: given header and data, gives both. */
function changedWeights(
  folder: string,
  change: (
    header: Record<string, { shape: number[]; data_offsets: number[]; dtype: string }>,
    data: Buffer,
  ) => Buffer | string,
): string {
  const model = tinyModel(folder);
  const path = join(model, "model.safetensors");
  const bytes = readFileSync(path);
  const length = Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString("utf8"));
  const data = bytes.subarray(8 + length);
  const changed = change(header, data);
  const text = typeof changed === "string" ? changed : JSON.stringify(header);
  const size = Buffer.alloc(8);
  size.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
  writeFileSync(path, Buffer.concat([size, Buffer.from(text), typeof changed === "string" ? data : changed]));
  return model;
}

function evaluate(folder: string, rows: readonly unknown[] | string, model = TINY_MODEL, ...more: string[]): string[] {
  const data = join(folder, "rows.jsonl");
  writeFileSync(data, typeof rows === "string" ? rows : jsonLines(rows));
  return ["evaluate", "--model", model, "--data", data, ...more];
}

function simulate(folder: string, population: readonly unknown[], options: object = {}): string[] {
  return ["simulate", writeTinyRun(folder, population, options), "--out", join(folder, "out")];
}

function simulateYaml(folder: string, yaml: string): string[] {
  writeTinyRun(folder, tinyClients({ clients: 1 }));
  writeFileSync(join(folder, "run.yaml"), yaml);
  return ["simulate", join(folder, "run.yaml"), "--out", join(folder, "out")];
}

const ROW = { prompt: "the dog was good", completion: " yes", choices: [" yes", " no"] };
const YAML = `model: ${JSON.stringify(TINY_MODEL)}\npopulation: population.jsonl\n`;
const ADAPTER = asset("test", "fixtures", "peft", "adapters", "all");

function changedAdapter(folder: string, change: (config: Record<string, unknown>) => void): string {
  const adapter = join(folder, "adapter");
  cpSync(ADAPTER, adapter, { recursive: true });
  const path = join(adapter, "adapter_config.json");
  const config = JSON.parse(readFileSync(path, "utf8"));
  change(config);
  writeFileSync(path, JSON.stringify(config));
  return adapter;
}

const MISTAKES: readonly Mistake[] = [
  // runtimes
  {
    what: "a folder of one's own as the run's, even by force",
    make: (folder) => {
      mkdirSync(join(folder, "out", "state"), { recursive: true });
      writeFileSync(join(folder, "out", "state", "mine.txt"), "mine");
      return [...simulate(folder, tinyClients()), "--force"];
    },
    says: [/out\/state: is there, but of no run/, /choose another --out/],
  },
  {
    what: "more groups than clients",
    make: (folder) => simulate(folder, tinyClients({ clients: 3 }), { groups: 5 }),
    says: [/run\.yaml: groups is 5, but there are only 3 clients/],
  },
  {
    what: "a runtime that lacks the device",
    make: (folder) => evaluate(folder, [ROW], TINY_MODEL, "--runtime", "onnx", "--device", "wasm"),
    says: [/runtime onnx, device wasm/, /choose one of them, or auto/],
  },
  {
    what: "a device of another system",
    make: (folder) => [
      ...simulate(folder, tinyClients({ clients: 3 })),
      "--device",
      process.platform === "darwin" ? "directml" : "coreml",
    ],
    says: [/device (directml|coreml): does not work on this machine/, /choose another, or auto/],
  },
  // models
  {
    what: "a model folder that is not there",
    make: (folder) => simulate(folder, tinyClients(), { model: "./nowhere" }),
    says: [/run\.yaml: model: no such folder/, /got "\.\/nowhere"/],
  },
  {
    what: "a model folder without weights",
    make: (folder) => {
      const model = tinyModel(folder);
      rmSync(join(model, "model.safetensors"));
      return evaluate(folder, [ROW], model);
    },
    says: [/model\b/, /model\.safetensors/],
  },
  {
    what: "a model folder without a tokenizer",
    make: (folder) => {
      const model = tinyModel(folder);
      rmSync(join(model, "tokenizer.json"));
      return evaluate(folder, [ROW], model);
    },
    says: [/tokenizer\.json/],
  },
  {
    what: "a truncated safetensors file",
    make: (folder) => {
      const model = tinyModel(folder);
      const path = join(model, "model.safetensors");
      writeFileSync(path, readFileSync(path).subarray(0, -100));
      return evaluate(folder, [ROW], model);
    },
    says: [/model\.safetensors/, /truncated|ends|bytes/],
  },
  {
    what: "a safetensors file cut within its header",
    make: (folder) => {
      const model = tinyModel(folder);
      const path = join(model, "model.safetensors");
      writeFileSync(path, readFileSync(path).subarray(0, 40));
      return evaluate(folder, [ROW], model);
    },
    says: [/model\.safetensors/, /header/],
  },
  {
    what: "a header that claims more bytes than a tensor's shape has",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedWeights(folder, (header, data) => {
          const [, entry] = Object.entries(header).find(([name]) => name !== "__metadata__") ?? [];
          entry?.shape.push(2);
          return data;
        }),
      ),
    says: [/model\.safetensors/, /tensor/, /bytes/],
  },
  {
    what: "a header that points behind the file's end",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedWeights(folder, (header, data) => {
          for (const [name, entry] of Object.entries(header)) {
            if (name !== "__metadata__") entry.data_offsets = entry.data_offsets.map((at) => at + 1e9);
          }
          return data;
        }),
      ),
    says: [/model\.safetensors/, /tensor|data/],
  },
  {
    what: "a header that is no JSON",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedWeights(folder, () => "{]"),
      ),
    says: [/model\.safetensors/, /header/, /JSON/],
  },
  {
    what: "weights that lack a tensor of the model",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedJson(folder, "config.json", (config) => {
          config.num_hidden_layers = 3;
        }),
      ),
    says: [/model\.layers\.2\./],
  },
  {
    what: "weights of another size than the configuration has",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedJson(folder, "config.json", (config) => {
          config.intermediate_size = 60;
        }),
      ),
    says: [/shape/, /56/, /60/],
  },
  {
    what: "a model of another family",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedJson(folder, "config.json", (config) => {
          config.model_type = "mamba";
          config.architectures = ["MambaForCausalLM"];
        }),
      ),
    says: [/config\.json/, /mamba/i, /llama/i],
  },
  {
    what: "a tokenizer with ids beyond the vocabulary",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        changedJson(folder, "tokenizer.json", (tokenizer) => {
          (tokenizer.model as { vocab: Record<string, number> }).vocab.beyond = 4000;
        }),
      ),
    says: [/tokenizer\.json/, /400[01]/, /128/],
  },
  // adapters
  {
    what: "an adapter folder that is not there",
    make: (folder) => evaluate(folder, [ROW], TINY_MODEL, "--adapter", join(folder, "nowhere")),
    says: [/nowhere/, /adapter_config\.json|no such/],
  },
  {
    what: "an adapter with a setting that would change its result",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        TINY_MODEL,
        "--adapter",
        changedAdapter(folder, (config) => (config.use_dora = true)),
      ),
    says: [/adapter_config\.json/, /use_dora/, /true/],
  },
  {
    what: "an adapter of a rank that its tensors do not have",
    make: (folder) =>
      evaluate(
        folder,
        [ROW],
        TINY_MODEL,
        "--adapter",
        changedAdapter(folder, (config) => (config.r = 5)),
      ),
    says: [/adapter/, /lora_[AB]/, /\b5\b/],
  },
  // rows
  {
    what: "a file of rows that is not there",
    make: (folder) => ["evaluate", "--model", TINY_MODEL, "--data", join(folder, "none.jsonl")],
    says: [/none\.jsonl/, /no such file/],
  },
  {
    what: "an empty file of rows",
    make: (folder) => evaluate(folder, ""),
    says: [/rows\.jsonl/, /no rows/],
  },
  {
    what: "a row that is no JSON",
    make: (folder) => evaluate(folder, `${JSON.stringify(ROW)}\n{"prompt": \n`),
    says: [/rows\.jsonl:2: /, /JSON/],
  },
  {
    what: "a completion that is not among the choices",
    make: (folder) => evaluate(folder, [ROW, { ...ROW, completion: " maybe" }]),
    says: [/rows\.jsonl:2: /, /completion/, /" maybe"/, /choices/],
  },
  {
    what: "a label outside the set",
    make: (folder) =>
      evaluate(
        folder,
        [
          { text: "good", label: 1 },
          { text: "bad", label: 7 },
        ],
        TINY_MODEL,
        "--template",
        "the {text}",
        "--choices",
        '{"0": " no", "1": " yes"}',
      ),
    says: [/rows\.jsonl:2: /, /label/, /7/, /0.*1/],
  },
  {
    what: "a row without a field that the template names",
    make: (folder) => evaluate(folder, [{ word: "good" }], TINY_MODEL, "--template", "{text}"),
    says: [/rows\.jsonl:1: /, /text/],
  },
  {
    what: "a completion that is longer than the longest row",
    make: (folder) => evaluate(folder, [ROW, { prompt: "the", completion: " dog".repeat(80) }]),
    says: [/rows\.jsonl:2/, /completion/, /64/],
  },
  // populations
  {
    what: "a population that is not there",
    make: (folder) => simulate(folder, tinyClients(), { population: "none.jsonl" }),
    says: [/none\.jsonl/, /no such/],
  },
  {
    what: "a population without clients",
    make: (folder) => simulate(folder, []),
    says: [/population\.jsonl/, /no clients/],
  },
  {
    what: "two clients under one name",
    make: (folder) => simulate(folder, [...tinyClients({ clients: 2 }), ...tinyClients({ clients: 1 })]),
    says: [/population\.jsonl:3: /, /"c0"/, /unique/, /population\.jsonl:1/],
  },
  {
    what: "a client without training rows",
    make: (folder) => simulate(folder, [{ ...tinyClients({ clients: 1 })[0], train: [] }]),
    says: [/population\.jsonl:1: /, /"c0"/, /train/],
  },
  {
    what: "a client of too few rows to split",
    make: (folder) => simulate(folder, [{ client: "c0", train: [ROW, ROW] }]),
    says: [/population\.jsonl:1/, /"c0"/, /\b(three|3)\b/],
  },
  {
    what: "a bad row of a population",
    make: (folder) => {
      const [first, second] = tinyClients({ clients: 2 });
      return simulate(folder, [first, { ...second, test: [ROW, { ...ROW, completion: " perhaps" }] }]);
    },
    says: [/population\.jsonl:2: /, /"c1"/, /test\[1\]/, /" perhaps"/],
  },
  {
    what: "a completion of a population that is longer than the longest row",
    make: (folder) => {
      const [first, second] = tinyClients({ clients: 2 });
      return simulate(folder, [first, { ...second, test: [ROW, { prompt: "the", completion: " dog".repeat(80) }] }]);
    },
    says: [/population\.jsonl:2: /, /"c1"/, /test\[1\]/, /completion/, /64/],
  },
  {
    what: "a listed client whose folder is not there",
    make: (folder) => simulate(folder, [], { population: [{ name: "ada", data: "ada" }] }),
    says: [/ada/, /no such folder or file/],
  },
  // configurations
  {
    what: "an unknown key",
    make: (folder) => simulateYaml(folder, `${YAML}training:\n  epoch: 3\n`),
    says: [/run\.yaml:4: /, /training\.epoch: unknown option; did you mean training\.epochs/],
  },
  {
    what: "a value of the wrong type",
    make: (folder) => simulateYaml(folder, `${YAML}seed: one\n`),
    says: [/run\.yaml:3: /, /seed/, /"one"/],
  },
  {
    what: "a value out of range",
    make: (folder) => simulateYaml(folder, `${YAML}adapter: {rank: 0}\n`),
    says: [/run\.yaml:3: /, /adapter\.rank/, /\b0\b/, /\b1\b/],
  },
  {
    what: "a module that the model does not have",
    make: (folder) => simulate(folder, tinyClients(), { adapter: { modules: ["q_projj"] } }),
    says: [/run\.yaml: adapter\.modules: /, /"q_projj"/, /q_proj,/],
  },
  {
    what: "too few subsets for so many clients",
    make: (folder) => simulate(folder, tinyClients({ clients: 6 }), { estimation: { subsets: 2, subsetSize: 2 } }),
    says: [/run\.yaml: estimation\.subsets: /, /2 subsets of 2/, /raise estimation\.subsets/],
  },
  {
    what: "a configuration that is no YAML",
    make: (folder) => simulateYaml(folder, `${YAML}adapter: {rank: 4\n`),
    says: [/run\.yaml:\d+: /, /YAML/],
  },
  // words
  {
    what: "an unknown option",
    make: (folder) => [...simulate(folder, tinyClients()), "--josn"],
    says: [/--josn/, /--json/],
  },
  {
    what: "an address without a port",
    make: (folder) => {
      writeFileSync(join(folder, "c.yaml"), "minClients: 1\n");
      return ["coordinator", "--config", join(folder, "c.yaml"), "--listen", "localhost", "--state", join(folder, "s")];
    },
    says: [/'localhost'/, /HOST:PORT/],
  },
  {
    what: "an export of a folder that is no run",
    make: (folder) => ["export", folder, "--out", join(folder, "out")],
    says: [/is no run/, /--out|--state/],
  },
];

describe("a user's mistake ends with exit code 2 and one line that says where it is and what to do", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());
  const commands = new Commands();
  after(() => commands.close());

  for (const [at, { what, make, says }] of MISTAKES.entries()) {
    it(what, async () => {
      const own = join(folder.path, String(at));
      mkdirSync(own);
      // Half with --json: stdout stays empty, the line is the same. --quiet: no log around it.
      const words = [...make(own), "--quiet", ...(at % 2 === 0 && !/coordinator/.test(String(make)) ? ["--json"] : [])];
      const { code, stdout, stderr } = await commands.run(words);
      assert.match(stderr, /^kindred: [^\n]+\n$/);
      for (const part of says) assert.match(stderr, part);
      assert.equal(stdout, "");
      assert.equal(code, 2, stderr);
    });
  }
});
