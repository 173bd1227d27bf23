import assert from "node:assert/strict";
import { test } from "node:test";
import { KindredError } from "../../../shared/base/errors.js";
import {
  type ChoiceRow,
  type PlantedOptions,
  plantedPopulation,
  populationLines,
} from "../../../simulations/population/planted.js";
import { DESKS, TOPICS } from "../../../simulations/population/tickets.js";

const SEEDS = [0, 1, 2];

const TOPIC_OF = new Map(Object.entries(TOPICS).flatMap(([topic, things]) => things.map((thing) => [thing, topic])));

/** The one topic that a ticket's words name. */
function topicOf(row: ChoiceRow): string {
  const topics = (row.prompt.match(/[a-z]+/g) ?? []).flatMap((word) => TOPIC_OF.get(word) ?? []);
  assert.equal(topics.length, 1, row.prompt);
  return topics[0] as string;
}

test("the same seed gives the same population, another seed another", () => {
  const lines = populationLines(plantedPopulation({ seed: 5 }));
  assert.equal(lines, populationLines(plantedPopulation({ seed: 5 })));
  assert.notEqual(lines, populationLines(plantedPopulation({ seed: 6 })));
});

test("a client's rows do not depend on how many clients there are", () => {
  const few = plantedPopulation({ seed: 1, groupSizes: [2, 2] });
  const many = plantedPopulation({ seed: 1, groupSizes: [5, 4] });
  for (const client of few.clients) {
    assert.deepEqual(
      client,
      many.clients.find((other) => other.client === client.client),
    );
  }
});

test("the default is 24 clients in four groups of six, with 20, 8 and 200 rows, names unique and out of order", () => {
  const { clients, rules } = plantedPopulation({ seed: 0 });
  assert.equal(clients.length, 24);
  assert.equal(new Set(clients.map((client) => client.client)).size, 24);
  assert.equal(rules.size, 4);
  for (const group of rules.keys()) assert.equal(clients.filter((client) => client.group === group).length, 6);
  for (const client of clients) {
    assert.deepEqual([client.train.length, client.validation.length, client.test.length], [20, 8, 200]);
  }
  assert.notDeepEqual(
    clients.map((client) => client.client),
    clients.map((client) => client.client).sort(),
  );
});

test("lines are JSON, one client each, with the fields of the population's form", () => {
  const population = plantedPopulation({ seed: 2, groupSizes: [1, 3], test: 5 });
  const parsed = populationLines(population)
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  assert.deepEqual(parsed, population.clients);
  assert.deepEqual(Object.keys(parsed[0]), ["client", "group", "train", "validation", "test"]);
});

test("no prompt is in two splits of a client, or twice in one", () => {
  for (const seed of SEEDS) {
    for (const client of plantedPopulation({ seed }).clients) {
      const prompts = [...client.train, ...client.validation, ...client.test].map((row) => row.prompt);
      assert.equal(new Set(prompts).size, prompts.length);
    }
  }
});

test("choices are the four desks, their first letters apart, and the completion is among them", () => {
  for (const client of plantedPopulation({ seed: 0 }).clients) {
    for (const row of [...client.train, ...client.validation, ...client.test]) {
      assert.deepEqual(row.choices, [" north", " south", " east", " west"]);
      assert.ok(row.choices.includes(row.completion));
    }
  }
});

test("labels follow the house rule up to the declared noise", () => {
  // 24 x 228 = 5,472 rows a seed: the standard error at 5 % is 0.29 points. Bounds at 4 of them: one false alarm in
  // some 5,000 over three seeds, and the seeds are fixed.
  for (const seed of SEEDS) {
    for (const labelNoise of [0, 0.05, 0.3]) {
      const { clients, rules } = plantedPopulation({ seed, labelNoise });
      let rows = 0;
      let wrong = 0;
      for (const client of clients) {
        for (const row of [...client.train, ...client.validation, ...client.test]) {
          rows++;
          if (row.completion !== ` ${rules.get(client.group)?.get(topicOf(row))}`) wrong++;
        }
      }
      const bound = 4 * Math.sqrt((labelNoise * (1 - labelNoise)) / rows);
      assert.ok(Math.abs(wrong / rows - labelNoise) <= bound, `${wrong} of ${rows} at ${labelNoise}`);
    }
  }
});

test("on topics in conflict no two of the four groups agree, on the agreed ones all do", () => {
  for (const seed of SEEDS) {
    for (const agreedTopics of [0, 4, 7]) {
      const { rules } = plantedPopulation({ seed, agreedTopics });
      const distinct = Object.keys(TOPICS).map(
        (topic) => new Set([...rules.values()].map((rule) => rule.get(topic))).size,
      );
      assert.equal(distinct.filter((count) => count === 1).length, agreedTopics);
      assert.equal(distinct.filter((count) => count === 4).length, 16 - agreedTopics);
    }
  }
});

test("the same ticket gets different desks from two groups as often as the topics in conflict are drawn", () => {
  // The rows of all clients, each judged by the rules of a pair of groups: topics are drawn evenly on average, so 75 %
  // of 5,472 rows conflict, up to the unevenness of 24 clients' topic mixes (concentration 3: standard deviation about
  // 1.3 points for the mean of the clients). Bound: 6 points.
  for (const seed of SEEDS) {
    const { clients, rules } = plantedPopulation({ seed });
    const [a, b] = [...rules.values()] as [ReadonlyMap<string, string>, ReadonlyMap<string, string>];
    const rows = clients.flatMap((client) => [...client.train, ...client.validation, ...client.test]);
    const share = rows.filter((row) => a.get(topicOf(row)) !== b.get(topicOf(row))).length / rows.length;
    assert.ok(Math.abs(share - 0.75) < 0.06, `${share}`);
  }
});

test("every rule uses every desk for four of the sixteen topics", () => {
  for (const rule of plantedPopulation({ seed: 3 }).rules.values()) {
    for (const desk of DESKS) assert.equal([...rule.values()].filter((other) => other === desk).length, 4);
  }
});

test("without conflict every group has the same rule", () => {
  const { rules } = plantedPopulation({ seed: 0, conflict: false });
  const [first, ...others] = [...rules.values()];
  assert.equal(others.length, 3);
  for (const other of others) assert.deepEqual(other, first);
});

test("a client knows few topics well: many of its test topics have at most one training row", () => {
  const { clients } = plantedPopulation({ seed: 0 });
  let poor = 0;
  let rows = 0;
  for (const client of clients) {
    const seen = new Map<string, number>();
    for (const row of client.train) seen.set(topicOf(row), (seen.get(topicOf(row)) ?? 0) + 1);
    for (const row of client.test) {
      rows++;
      if ((seen.get(topicOf(row)) ?? 0) <= 1) poor++;
    }
  }
  assert.ok(poor / rows > 0.25, `${poor} of ${rows}`);
});

test("options out of bounds are refused by field, bounds and value", () => {
  const refused: [Partial<PlantedOptions>, RegExp][] = [
    [{ groupSizes: [] }, /groupSizes\.length must be a whole number in 1\.\.8, got 0/],
    [{ groupSizes: [2, 0] }, /groupSizes\[1\] must be .* got 0/],
    [{ train: 1.5 }, /train must be a whole number .* got 1\.5/],
    [{ agreedTopics: 17 }, /agreedTopics must be .* 0\.\.16, got 17/],
    [{ labelNoise: Number.NaN }, /labelNoise must be a number in 0\.\.1, got NaN/],
  ];
  for (const [options, message] of refused) {
    assert.throws(
      () => plantedPopulation({ seed: 0, ...options }),
      (error) => error instanceof KindredError && error.code === "invalid_option" && message.test(error.message),
    );
  }
});
