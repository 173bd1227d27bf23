/** The documents say of every option what the schema says. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { parse } from "yaml";
import { asset } from "../../../shared/base/assets.js";
import {
  commonTable,
  configurationPage,
  type DocumentedOption,
  documentedOptions,
} from "../../../shared/config/documentation.js";
import { coordinatorSchema, simulationSchema } from "../../../shared/config/schema.js";
import { expectedAt, type JsonSchema, wordsOf } from "../../../shared/config/words.js";

const read = (path: string): string => readFileSync(asset(path), "utf8");

/** Sentences: a capital or a value's name first, a full stop last. */
const isSentence = (text: string): boolean => /^\S.{10,}\.$/.test(text);

test("every option and every block has a description of whole sentences, and an option what it takes", () => {
  const { options, blocks } = documentedOptions();
  assert.ok(options.length > 60, `only ${options.length} options`);
  const bare = [...options, ...blocks].filter(({ description }) => !isSentence(description)).map(({ path }) => path);
  assert.deepEqual(bare, []);
  assert.deepEqual(
    options.filter(({ takes }) => takes === "" || takes === "a value").map(({ path }) => path),
    [],
  );
  // Controls.
  assert.ok(!isSentence("") && !isSentence("Rank") && !isSentence("Rows per training step"));
});

test("an option that may be left out has a default or says what happens without it", () => {
  const silent = documentedOptions().options.filter(
    ({ required, default: value, description }) =>
      !required &&
      value === undefined &&
      !/Unless given|[Ww]ithout|in place of|Completion of each|known to belong/.test(description),
  );
  assert.deepEqual(
    silent.map(({ path }) => path),
    [],
  );
});

test("an option's first sentence is short enough for a table", () => {
  for (const path of documentedOptions().options.map((option) => option.path)) {
    const [, , row = ""] = commonTable(documentedOptions(), [path]).split("\n");
    const said = row.split(" | ").at(-1) ?? "";
    assert.ok(said.length > 10 && said.length < 170, `${path}: ${said}`);
  }
});

test("docs/configuration.md is what the schema gives", () => {
  const command = "run npm run build && node dist/shared/config/generate.js";
  assert.ok(read("docs/configuration.md") === configurationPage(), `docs/configuration.md is old; ${command}`);
  // Controls: another description is another page, and another default another table.
  const documented = documentedOptions();
  const changed = (change: Partial<DocumentedOption>) => ({
    ...documented,
    options: documented.options.map((option) => (option.path === "seed" ? { ...option, ...change } : option)),
  });
  assert.notEqual(configurationPage(changed({ description: "Another." })), configurationPage());
  assert.notEqual(commonTable(changed({ default: "1" })), commonTable());
  assert.throws(() => commonTable(documentedOptions(), ["training.epoch"]), /training\.epoch is not an option/);
});

test("the examples of docs/configuration.md are configurations", () => {
  const [simulation, coordinator, ...others] = [
    ...read("docs/configuration.md").matchAll(/^```yaml\n([\s\S]*?)^```/gm),
  ];
  assert.equal(others.length, 0);
  assert.deepEqual(simulationSchema.safeParse(parse(simulation?.[1] ?? "")).error?.issues, undefined);
  assert.deepEqual(coordinatorSchema.safeParse(parse(coordinator?.[1] ?? "")).error?.issues, undefined);
});

test("an option of a block with kinds names the kinds that have it", () => {
  const said = (path: string): string =>
    documentedOptions().options.find((option) => option.path === path)?.description ?? "";
  assert.match(said("adapter.rank"), /^\*lora:\* Rank of/);
  assert.match(said("adapter.reduction"), /^\*houlsby or pfeiffer:\* /);
  // Where kinds describe it in other words, each has its own.
  assert.match(said("adapter.dropout"), /^\*lora:\* .*\. \*houlsby or pfeiffer:\* /);
  assert.match(said("adapter.kind"), /^Kind of adapter\. lora: .* houlsby: /);
});

test("an option of a block that no section names is documented in a section of its own", () => {
  const option: DocumentedOption = {
    path: "transport.window",
    takes: "a whole number",
    default: "4",
    required: false,
    description: "Chunks on their way at one time.",
    kinds: ["simulate", "coordinator"],
  };
  const page = configurationPage({
    options: [...documentedOptions().options.filter(({ path }) => !path.startsWith("transport.")), option],
    blocks: [{ path: "transport", description: "Bytes on the wire." }],
  });
  assert.match(page, /## Transport\n\n- `transport`: Bytes on the wire\.\n\n\| option/);
  assert.match(page, /<a id="transport\.window"><\/a>`transport\.window` \| both \| a whole number \| `4` \| Chunks/);
});

test("bounds, lists and alternatives in words", () => {
  const cases: readonly [JsonSchema, string][] = [
    [{ type: "integer", minimum: 1, maximum: 9 }, "a whole number from 1 to 9"],
    [{ type: "integer", minimum: 0, maximum: Number.MAX_SAFE_INTEGER }, "a whole number of at least 0"],
    [{ type: "integer", minimum: -Number.MAX_SAFE_INTEGER, maximum: Number.MAX_SAFE_INTEGER }, "a whole number"],
    [{ type: "number", exclusiveMinimum: 0 }, "a number above 0"],
    [{ type: "number", exclusiveMinimum: 0, maximum: 10 }, "a number above 0 and at most 10"],
    [{ type: "number", exclusiveMinimum: 0, exclusiveMaximum: 1 }, "a number above 0 and below 1"],
    [{ type: "number", minimum: 0, exclusiveMaximum: 1 }, "a number from 0 to below 1"],
    [{ type: "number", maximum: 3 }, "a number of at most 3"],
    [{ anyOf: [{ const: "auto" }, { type: "boolean" }] }, "auto or true or false"],
    [{ enum: ["a", "b", "c"] }, "a, b or c"],
    [{ anyOf: [{ const: "a" }, { enum: ["b", "c"] }] }, "a, b or c"],
    [{ type: "array", items: { type: "string" } }, "a list, each entry a string"],
    [{ type: "array", maxItems: 2, items: { type: "string" } }, "a list of at most 2 entries, each a string"],
    [{ type: "array", minItems: 1, items: { enum: ["a", "b"] } }, "a list of a or b"],
    [{ type: "object", properties: {} }, "a map of options"],
    [{ title: "a folder", type: "string" }, "a folder"],
  ];
  for (const [schema, words] of cases) assert.equal(wordsOf(schema), words);
  const block: JsonSchema = {
    oneOf: [
      { properties: { kind: { const: "x" }, n: { type: "integer", minimum: 1, maximum: 2 } } },
      { properties: { kind: { enum: ["y", "z"] } } },
    ],
  };
  const schema: JsonSchema = { properties: { block, list: { anyOf: [{ type: "string" }, { items: block }] } } };
  assert.equal(expectedAt(schema, ["block", "kind"]), "x, y or z");
  assert.equal(expectedAt(schema, ["list", 3, "n"]), "a whole number from 1 to 2");
  assert.equal(expectedAt(schema, ["nowhere"]), "a value");
});
