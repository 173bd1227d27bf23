import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { KindredError } from "../../../shared/base/errors.js";
import { MAX_CLIENTS } from "../../../shared/base/limits.js";
import {
  CONFIG_KINDS,
  configJsonSchema,
  loadCoordinatorConfig,
  loadSimulationConfig,
  simulationPlan,
} from "../../../shared/config/config.js";

const folder = mkdtempSync(join(tmpdir(), "kindred-config-"));
mkdirSync(join(folder, "model"));
after(() => rmSync(folder, { recursive: true }));

const path = join(folder, "run.yaml");
const load = (text: string) => {
  writeFileSync(path, text);
  return loadSimulationConfig(path);
};
const refuses = (
  text: string,
  message: RegExp,
  code = "invalid_config",
  read: (text: string) => Promise<unknown> = load,
) =>
  assert.rejects(read(text), (error: unknown) => {
    assert(error instanceof KindredError, String(error));
    assert.equal(error.code, code, error.message);
    assert(error.message.startsWith(path), error.message);
    assert.match(error.message.slice(path.length), message);
    assert(!error.message.includes("\n"));
    return true;
  });

const least = "model: model\npopulation: pop.jsonl\n";

test("model and population suffice, and give a complete plan with absolute paths", async () => {
  assert.deepEqual(await load(least), {
    model: join(folder, "model"),
    modelName: "model",
    population: join(folder, "pop.jsonl"),
    title: "run",
    format: {},
    base: { quantization: "none" },
    adapter: { kind: "lora", rank: 16, alpha: 32, modules: [], dropout: 0, freezeA: true, rslora: false },
    training: {
      epochs: 3,
      batch: 8,
      learningRate: "auto",
      localSteps: 20,
      strategy: { kind: "fedavg", learningRate: "auto", momentum: "auto" },
      weightDecay: 0,
      warmup: 0.1,
      clipNorm: 1,
    },
    estimation: {
      subsets: "auto",
      subsetSize: "auto",
      dim: 400,
      projections: 1,
      labels: false,
      examplesPerClient: 200,
      design: "balanced",
      standardError: "auto",
      balance: "none",
      lambda: "auto",
      calibrate: false,
      margin: "auto",
    },
    groups: "auto",
    grouping: { method: "kindred", minSize: 1, together: [], apart: [] },
    boosting: { rounds: 1 },
    ensemble: { strength: "auto" },
    transport: { compression: "none" },
    seed: 0,
    maxTokens: 512,
    endOfText: "auto",
    compare: ["base", "shared", "local"],
    full: { learningRate: "auto" },
    report: { examples: 6 },
    concurrency: 4,
    runtime: { kind: "auto", device: "auto", threads: "auto" },
  });
});

test("endOfText is auto, true or false, and a command's option takes the place of the file's", async () => {
  assert.equal((await load(`${least}endOfText: false\n`)).endOfText, false);
  await assert.rejects(load(`${least}endOfText: sometimes\n`), /endOfText: .*sometimes/);
  const file = join(folder, "ended.yaml");
  writeFileSync(file, `${least}endOfText: false\n`);
  assert.equal((await loadSimulationConfig(file, { endOfText: true })).endOfText, true);
});

test("the plan is frozen throughout", async () => {
  const plan = await load(`${least}adapter: {modules: [q_proj]}\n`);
  assert(plan.adapter.kind === "lora");
  const { modules } = plan.adapter;
  assert.throws(() => Object.assign(plan.adapter, { rank: 1 }), TypeError);
  assert.throws(() => (modules as string[]).push("v_proj"), TypeError);
});

test("an adapter has the fields of its kind, and those of another are refused by name", async () => {
  const { adapter } = await load(`${least}adapter: {kind: houlsby, reduction: 8}\n`);
  assert.deepEqual(adapter, { kind: "houlsby", reduction: 8, activation: "relu", dropout: 0, freezeA: true });
  const refused = [
    [
      "{kind: pfeiffer, rank: 4}",
      /^:3: adapter\.rank: option of another kind; adapter\.kind is "pfeiffer"; remove rank or change adapter\.kind$/,
    ],
    ["{reduction: 4}", /^:3: adapter\.reduction: option of another kind; adapter\.kind is not given; remove/],
    [
      "{kind: full}",
      /^:3: adapter\.kind: unknown value; expected lora, houlsby or pfeiffer, got "full"; .*compare: \[full\]$/,
    ],
    ["{kind: prefix}", /^:3: adapter\.kind: unknown value; expected lora, houlsby or pfeiffer, got "prefix"$/],
    [
      "{kind: houlsby, activation: tanh}",
      /^:3: adapter\.activation: unknown value; expected relu, gelu or swish, got "tanh"$/,
    ],
    [
      "{kind: houlsby, reduction: 0.5}",
      /^:3: adapter\.reduction: too small; expected a number from 1 to 1000000, got 0\.5$/,
    ],
  ] as const;
  for (const [text, message] of refused) await refuses(`${least}adapter: ${text}\n`, message);
});

test("a listed client's format takes the place of the configuration's", async () => {
  const plan = await load(`
model: HuggingFaceTB/SmolLM2-135M@main
template: "{text}"
choices: {0: " no", yes: " yes"}
ignore: [score, messages.weight]
population:
  - {name: a, data: ../data/a}
  - {name: b, data: /data/b, group: 3, template: "B {text}", label: verdict, ignore: [rank]}
  - {name: c, data: c, completion: "{answer}"}
training: {learningRate: 5e-4, epochs: 2}
compare: [kindred, local]
`);
  assert.equal(plan.model, "HuggingFaceTB/SmolLM2-135M@main");
  const choices = { 0: " no", yes: " yes" };
  const ignore = ["score", "messages.weight"];
  assert.deepEqual(plan.population, [
    { name: "a", data: join(folder, "../data/a"), format: { template: "{text}", choices, ignore } },
    {
      name: "b",
      data: "/data/b",
      group: "3",
      format: { template: "B {text}", label: "verdict", choices, ignore: ["rank"] },
    },
    { name: "c", data: join(folder, "c"), format: { template: "{text}", completion: "{answer}", ignore } },
  ]);
  assert.equal(plan.training.learningRate, 5e-4);
  assert.deepEqual(plan.compare, ["local"]);
});

test("a format that is given beside a file takes the place of the file's, not of a client's own", async () => {
  writeFileSync(path, 'model: model\npopulation: pop.jsonl\ntemplate: "{text}"\nchoices: {a: x, b: y}\nlabel: kind\n');
  assert.deepEqual((await loadSimulationConfig(path, { completion: " {more}" })).format, {
    template: "{text}",
    completion: " {more}",
  });
  // The label of all clients' choices is that of a client's own choices too.
  assert.equal((await loadSimulationConfig(path, { choices: { a: "1", b: "2" } })).format.label, "kind");
  assert.deepEqual((await loadSimulationConfig(path, { template: "Q: {text}" })).format, {
    template: "Q: {text}",
    choices: { a: "x", b: "y" },
    label: "kind",
  });
  writeFileSync(path, 'model: model\npopulation: [{name: a, data: a, template: "{own}"}, {name: b, data: b}]\n');
  const { population } = await loadSimulationConfig(path, { template: "{given}" });
  assert.deepEqual(
    (population as readonly { format: object }[]).map(({ format }) => format),
    [{ template: "{own}" }, { template: "{given}" }],
  );
});

test("a label without choices is refused, for all clients and for one", async () => {
  const reason = /nothing reads it without choices that its values stand for, got "kind"; add choices, or remove it$/;
  await refuses(`${least}label: kind\n`, reason);
  await refuses("model: model\npopulation: [{name: a, data: a, label: kind}]\n", reason);
});

test("an unknown key is refused by line and name, with the one that was probably meant", async () => {
  await refuses(`${least}epochs: 3\n`, /^:3: epochs: unknown option; did you mean training\.epochs\?/);
  await refuses(
    `${least}training:\n  epoch: 3\n`,
    /^:4: training\.epoch: unknown option; did you mean training\.epochs\?/,
  );
  await refuses(
    `${least}training: {learning_rate: 1}\n`,
    /^:3: training\.learning_rate: .* did you mean training\.learningRate\?/,
  );
  await refuses(
    `${least}boosting: {xyz: 1}\n`,
    /^:3: boosting\.xyz: unknown option; expected one of rounds; remove it/,
  );
  await refuses(
    `${least}training: {server: {optimizer: fedadam}}\n`,
    /^:3: training\.server: option of an earlier version; write training\.strategy: \{kind: fedadam, momentum: 0\.9\}/,
  );
  await refuses(
    `${least}training: {strategy: {kind: median, trim: 0.1}}\n`,
    /^:3: training\.strategy\.trim: option of another kind; training\.strategy\.kind is "median"/,
  );
  await refuses(
    `${least}training: {strategy: {kind: mean}}\n`,
    /^:3: training\.strategy\.kind: .*expected fedavg, fedprox, .*norm-bounded or custom, got "mean"/,
  );
  await refuses(
    "model: model\npopulation:\n  - name: a\n    data: a\n    tempalte: x\n",
    /^:5: population\[0\]\.tempalte: unknown option; did you mean population\[0\]\.template\?/,
  );
});

test("an unknown key comes before other mistakes, and these are counted", async () => {
  await refuses(
    "popluation: x\nseed: -1\n",
    /^:1: popluation: unknown option; did you mean population\? \(and 3 more mistakes\)$/,
  );
});

test("a wrong value is refused by line, field and value", async () => {
  await refuses(`${least}seed: 1.5\n`, /^:3: seed: wrong type; expected a whole number of at least 0, got 1\.5$/);
  await refuses(`${least}seed: "7"\n`, /^:3: seed: wrong type; expected a whole number of at least 0, got "7"$/);
  await refuses(
    `${least}adapter:\n  rank: 0\n`,
    /^:4: adapter\.rank: too small; expected a whole number from 1 to 1024, got 0$/,
  );
  await refuses(
    `${least}adapter: {dropout: 1}\n`,
    /^:3: adapter\.dropout: too large; expected a number from 0 to below 1, got 1$/,
  );
  await refuses(
    `${least}adapter: {kind: bottleneck}\n`,
    /adapter\.kind: unknown value; expected lora, houlsby or pfeiffer, got "bottleneck"$/,
  );
  await refuses(`${least}adapter: 16\n`, /^:3: adapter: wrong type; expected a map of options, got 16$/);
  await refuses(
    `${least}training: {learningRate: fast}\n`,
    /training\.learningRate: .*; expected auto or a number above 0 and at most 10, got "fast"$/,
  );
  await refuses(`${least}training: {clipNorm: .nan}\n`, /clipNorm: wrong type; expected a number above 0, got \.nan$/);
  await refuses(`${least}training: {clipNorm: -.Inf}\n`, /clipNorm: .*, got -\.Inf$/);
  await refuses(`${least}training: {epochs: 1e400}\n`, /epochs: .*, got 1e400$/);
  await refuses(
    `${least}title: 1_0.50\n`.replace("_", ""),
    /^:3: title: wrong type; expected a string .*, got 10\.50$/,
  );
  await refuses(`${least}groups: 0\n`, /groups: too small; expected auto or a whole number from 1 to 10000, got 0$/);
  await refuses(
    `${least}compare: [base, bse]\n`,
    /^:3: compare\[1\]: unknown value; expected base, shared, local, full or kindred, got "bse"$/,
  );
  await refuses("model: model\n", /: population: missing; expected the path .* or a list .*; add it$/);
  await refuses("model: model\npopulation: 3\n", /^:2: population: wrong type; expected the path .*, got 3$/);
  await refuses("model: model\npopulation: []\n", /^:2: population: too few entries; expected .*, got \[\]$/);
  await refuses(
    "model: model\npopulation: [{name: a}]\n",
    /population\[0\]\.data: missing; expected a folder or a file; add it$/,
  );
  await refuses(`${least}template: "{text"\n`, /^:3: template: a \{ without a \}; expected \{field\}.*, got "\{text"$/);
  await refuses(
    `${least}template: "{t}"\nchoices: {a: x}\n`,
    /^:4: choices: too few different completions; expected a map with at least two, got \{"a":"x"\}$/,
  );
});

test("a number that would be rounded, or that is another one elsewhere, is refused by line and field", async () => {
  await refuses(
    `${least}seed: 9007199254740993\n`,
    /^:3: seed: 9007199254740993 is beyond 2\^53 and would be rounded; write a smaller number, or quotes for a text$/,
  );
  await refuses(
    "model: model\npopulation:\n  - {name: a, data: a}\n  - {name: b, data: b, group: 007}\n",
    /^:4: population\[1\]\.group: 007 is 7 in YAML 1\.2 and another value in YAML 1\.1; /,
  );
});

test("labels of choices are taken as they are written", async () => {
  const choices = "{9007199254740993: a, 9007199254740992: b, 007: c, 1.0: d, true: e, null: f}";
  writeFileSync(path, `${least}template: "{t}"\nchoices: ${choices}\n`);
  const { format } = await loadSimulationConfig(path);
  const wanted = ["007", "1.0", "9007199254740992", "9007199254740993", "null", "true"];
  assert.deepEqual(Object.keys(format.choices ?? {}).sort(), wanted);
});

test("mistakes between fields are refused", async () => {
  await refuses(`${least}choices: {a: x, b: y}\n`, /: choices need a prompt/);
  await refuses(`${least}template: "{t}"\ncompletion: "{c}"\nchoices: {a: x, b: y}\n`, /exclude each other/);
  await refuses(
    "model: model\npopulation: [{name: a, data: a}, {name: a, data: b}]\n",
    /population\[1\]\.name: used twice; expected a name of its own, got "a"/,
  );
});

test("constraints on groups that contradict each other are refused by line and by name", async () => {
  await refuses(
    `${least}grouping:\n  together: [[ann, bo], [bo, cy]]\n  apart: [[ann, cy]]\n`,
    /^:4: grouping: impossible constraints \(together and apart contradict each other: ann and cy must share a group/,
  );
  await refuses(
    `${least}grouping: {minSize: 5, maxSize: 4}\n`,
    /^:3: grouping: impossible constraints \(minSize 5 is above/,
  );
  await refuses(
    `${least}grouping: {apart: [[ann]]}\n`,
    /^:3: grouping\.apart\[0\]: too few entries; expected a list of 2 to 10000 entries/,
  );
});

test("a model that is neither a folder nor an id of the hub is refused", async () => {
  for (const model of ["./none", "/no/where", "none", "a/b/c"]) {
    await refuses(
      `model: ${model}\npopulation: p.jsonl\n`,
      /: model: no such folder .* owner\/name, got "/,
      "not_found",
    );
  }
});

test("what is no configuration is refused by file and line", async () => {
  await refuses("", /: empty; expected a map of options/);
  await refuses("- a\n", /: the configuration: wrong type; expected a map of options, got \["a"\]/);
  await refuses("a: 1\na: 2\n", /^:2: a: given twice; keep one$/);
  await refuses("a:\n  'b c': 1\n  b c: 2\n", /^:3: b c: given twice; keep one$/);
  await refuses("a: 1\n---\nb: 1\n", /^:2: holds a second document \(---\); keep one$/);
  await refuses("a: !thing b\n", /^:1: not valid YAML: Unresolved tag: !thing$/);
  await refuses("a: [1\n", /:\d: not valid YAML/);
  await refuses("a: *b\n", /not valid YAML/);
  await refuses(
    "x: &a [1,1]\ny: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\nz: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\nw: [*c,*c,*c,*c,*c]\n",
    /not valid YAML/,
  );
  writeFileSync(path, Buffer.from([0x61, 0x3a, 0xff]));
  await assert.rejects(loadSimulationConfig(path), /not valid UTF-8/);
  await assert.rejects(
    loadSimulationConfig(join(folder, "none.yaml")),
    (error) => error instanceof KindredError && error.code === "not_found",
  );
  await assert.rejects(
    loadSimulationConfig(folder),
    (error) => error instanceof KindredError && error.code === "invalid_config" && /is not a file/.test(error.message),
  );
});

test("a coordinator needs minClients, and shares the blocks of a simulation", async () => {
  const read = (text: string) => {
    writeFileSync(path, text);
    return loadCoordinatorConfig(path);
  };
  const plan = await read("minClients: 3\nadapter: {rank: 4}\n");
  assert.equal(plan.minClients, 3);
  assert(plan.adapter.kind === "lora" && plan.adapter.rank === 4);
  assert.equal(plan.training.localSteps, 20);
  assert(!("model" in plan));
  await refuses(
    "seed: 1\n",
    /: minClients: missing; expected a whole number from 1 to 10000; add it$/,
    "invalid_config",
    read,
  );
  await refuses("minClients: 2\npopulation: x\n", /^:2: population: unknown option/, "invalid_config", read);
});

test("a run of more clients than may enrol is refused when the configuration is read", async () => {
  const read = (text: string) => {
    writeFileSync(path, text);
    return loadCoordinatorConfig(path);
  };
  const message = /^:1: minClients: too large; expected a whole number from 1 to 10000, got 10001$/;
  assert.equal((await read(`minClients: ${MAX_CLIENTS}\n`)).minClients, MAX_CLIENTS);
  await refuses(`minClients: ${MAX_CLIENTS + 1}\n`, message, "invalid_config", read);
  const planned = (clients: number) =>
    simulationPlan({
      title: "t",
      model: "owner/m",
      population: Array.from({ length: clients }, (_, at) => ({ name: `c${at}`, data: "d" })),
    });
  assert.equal(planned(MAX_CLIENTS).population.length, MAX_CLIENTS);
  assert.throws(() => planned(MAX_CLIENTS + 1), /population: too many entries; expected .* a list .*, got \[/);
});

test("the schema for editors describes what is accepted, with the defaults", () => {
  for (const kind of CONFIG_KINDS) assert.equal(configJsonSchema(kind).additionalProperties, false);
  const schema = configJsonSchema("simulate") as {
    required: string[];
    properties: Record<string, { oneOf?: { properties?: Record<string, { default?: unknown }> }[] }>;
  };
  assert.deepEqual(schema.required, ["model", "population"]);
  assert.equal(schema.properties.adapter?.oneOf?.[0]?.properties?.rank?.default, 16);
});
