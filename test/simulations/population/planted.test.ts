import assert from "node:assert/strict";
import { test } from "node:test";
import { KindredError } from "../../../shared/base/errors.js";
import {
  type ChoiceRow,
  type PlantedOptions,
  plantedPopulation,
  populationLines,
  RULE_DESKS,
} from "../../../simulations/population/planted.js";
import { TOPICS } from "../../../simulations/population/tickets.js";

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

test("a client's rows do not depend on the number of clients", () => {
  const few = plantedPopulation({ seed: 1, groupSizes: [2, 2] });
  const many = plantedPopulation({ seed: 1, groupSizes: [5, 4] });
  for (const client of few.clients) {
    assert.deepEqual(
      client,
      many.clients.find((other) => other.client === client.client),
    );
  }
});

test("the default is 24 clients in four groups of six, with 24, 8 and 200 rows, names unique and out of order", () => {
  const { clients, rules } = plantedPopulation({ seed: 0 });
  assert.equal(clients.length, 24);
  assert.equal(new Set(clients.map((client) => client.client)).size, 24);
  assert.equal(rules.size, 4);
  for (const group of rules.keys()) assert.equal(clients.filter((client) => client.group === group).length, 6);
  for (const client of clients) {
    assert.deepEqual([client.train.length, client.validation.length, client.test.length], [24, 8, 200]);
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

test("choices are the two desks, and the completion is among them", () => {
  for (const client of plantedPopulation({ seed: 0 }).clients) {
    for (const row of [...client.train, ...client.validation, ...client.test]) {
      assert.deepEqual(row.choices, [" north", " south"]);
      assert.ok(row.choices.includes(row.completion));
    }
  }
});

test("labels follow the house rule up to the declared noise", () => {
  // 24 x 232 = 5,568 rows per seed: the standard error at 5 % is 0.29 points. Bounds at 4 of them: one false alarm in
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

test("on a topic in conflict two of the four groups contradict the two others, on an agreed one all agree", () => {
  for (const seed of SEEDS) {
    for (const agreedTopics of [0, 2, 7]) {
      const { rules } = plantedPopulation({ seed, agreedTopics });
      const [first] = rules.values();
      const counts = [...(first?.keys() ?? [])].map(
        (topic) => [...rules.values()].filter((rule) => rule.get(topic) === RULE_DESKS[0]).length,
      );
      assert.equal(counts.length, 8);
      assert.equal(counts.filter((count) => count === 2).length, 8 - agreedTopics);
      assert.equal(counts.filter((count) => count === 0 || count === 4).length, agreedTopics);
    }
  }
});

test("any two of four groups contradict each other on eight of twelve topics, and each uses each desk for six", () => {
  for (const seed of SEEDS) {
    const rules = [...plantedPopulation({ seed, topics: 12 }).rules.values()];
    rules.forEach((a, i) => {
      assert.equal([...a.values()].filter((desk) => desk === RULE_DESKS[0]).length, 6);
      for (const b of rules.slice(i + 1)) {
        assert.equal([...a].filter(([topic, desk]) => b.get(topic) !== desk).length, 8);
      }
    });
  }
});

test("the same ticket gets different desks from two groups about as often as their rules differ", () => {
  // The rows of all clients, by the rules of each pair of groups. Topics are drawn evenly on average: with twelve of
  // them two in three rows conflict, up to the unevenness of 24 clients' topic mixes (concentration 6: at most 1.1 points
  // of standard deviation for the mean of the clients). Bound: 5 points.
  for (const seed of SEEDS) {
    const { clients, rules } = plantedPopulation({ seed, topics: 12 });
    const rows = clients.flatMap((client) => [...client.train, ...client.validation, ...client.test]);
    const topics = rows.map(topicOf);
    const all = [...rules.values()];
    all.forEach((a, i) => {
      for (const b of all.slice(i + 1)) {
        const share = topics.filter((topic) => a.get(topic) !== b.get(topic)).length / rows.length;
        assert.ok(Math.abs(share - 2 / 3) < 0.05, `${share}`);
      }
    });
  }
});

test("groups of any number up to eight have rules of their own", () => {
  for (let groups = 2; groups <= 8; groups++) {
    const groupSizes = Array.from({ length: groups }, () => 1);
    const { rules } = plantedPopulation({ seed: 0, groupSizes, topics: 16, test: 1 });
    const distinct = new Set([...rules.values()].map((rule) => [...rule.values()].join()));
    assert.equal(distinct.size, groups);
  }
});

test("without conflict all clients are planted as one group with one rule that uses both desks alike", () => {
  const { clients, rules } = plantedPopulation({ seed: 0, conflict: false });
  assert.deepEqual([...rules.keys()], ["all"]);
  assert.deepEqual(new Set(clients.map((client) => client.group)), new Set(["all"]));
  assert.equal(clients.length, 24);
  assert.equal([...(rules.get("all")?.values() ?? [])].filter((desk) => desk === RULE_DESKS[0]).length, 4);
  for (const client of clients) {
    const wrong = client.test.filter((row) => row.completion !== ` ${rules.get("all")?.get(topicOf(row))}`).length;
    // 5 % of 200 rows: mean 10, standard deviation 3.1.
    assert.ok(wrong <= 25, `${client.client}: ${wrong}`);
  }
});

test("a client knows few topics well: many of its test rows' topics have at most two training rows", () => {
  const { clients } = plantedPopulation({ seed: 0 });
  let poor = 0;
  let rows = 0;
  for (const client of clients) {
    const seen = new Map<string, number>();
    for (const row of client.train) seen.set(topicOf(row), (seen.get(topicOf(row)) ?? 0) + 1);
    for (const row of client.test) {
      rows++;
      if ((seen.get(topicOf(row)) ?? 0) <= 2) poor++;
    }
  }
  assert.ok(poor / rows > 0.3, `${poor} of ${rows}`);
});

test("options out of bounds are refused by field, bounds and value", () => {
  const refused: [Partial<PlantedOptions>, RegExp][] = [
    [{ groupSizes: [] }, /groupSizes\.length must be a whole number in 1\.\.8, got 0/],
    [{ groupSizes: [2, 0] }, /groupSizes\[1\] must be .* got 0/],
    [{ train: 1.5 }, /train must be a whole number .* got 1\.5/],
    [{ topics: 17 }, /topics must be .* 1\.\.16, got 17/],
    [{ agreedTopics: 9 }, /agreedTopics must be .* 0\.\.8, got 9/],
    [{ labelNoise: Number.NaN }, /labelNoise must be a number in 0\.\.1, got NaN/],
  ];
  for (const [options, message] of refused) {
    assert.throws(
      () => plantedPopulation({ seed: 0, ...options }),
      (error) => error instanceof KindredError && error.code === "invalid_option" && message.test(error.message),
    );
  }
});
