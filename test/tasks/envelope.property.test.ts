import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { BOTTLENECK_ACTIVATIONS, BOTTLENECK_KINDS, FULL } from "../../shared/adapters/settings.js";
import { KindredError } from "../../shared/base/errors.js";
import { compareAnswerPrefixes } from "../../shared/sketch/answer-prefixes.js";
import { TRANSFORMS } from "../../shared/transforms/names.js";
import { MAX_CHUNK_BYTES, MAX_MESSAGE_BYTES, MAX_STEPS } from "../../shared/wire/limits.js";
import { services, transferBytes } from "../../shared/wire/services.js";
import type { AdapterSpec, BlobRef, TunedSpec } from "../../shared/wire/types.js";
import {
  checkAnswers,
  checkTask,
  decodeResult,
  decodeTask,
  encodeResult,
  encodeTask,
  taskBytes,
} from "../../tasks/envelope.js";
import type { Score } from "../../tasks/evaluate/message.js";
import { weightAlternatives } from "../../tasks/fit-weights/message.js";
import type { Transport } from "../../tasks/kind.js";
import { blobsOfTask, type TaskResult, type TaskSpec } from "../../tasks/kinds.js";
import { ADAPTER, evaluateTask, trainTask } from "../support/federation.js";

const TASK_ID = "0f".repeat(32);
const UINT32 = 4_294_967_295;
const { NextTask, ReportResult } = services.Tasks.service;

function throughTask(task: TaskSpec): TaskSpec {
  const message = NextTask.responseDeserialize(NextTask.responseSerialize({ task: encodeTask(TASK_ID, task) }));
  assert.ok(message.task);
  const decoded = decodeTask(message.task);
  assert.equal(decoded.taskId, TASK_ID);
  return decoded.task;
}

function throughResult(result: TaskResult): TaskResult {
  const message = ReportResult.requestDeserialize(ReportResult.requestSerialize(encodeResult(TASK_ID, result)));
  assert.equal(message.taskId, TASK_ID);
  return decodeResult(message);
}

/** fast-check likes to make records without a prototype, which no decoder does. */
const record = <T>(fields: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> =>
  fc.record(fields, { noNullPrototype: true }) as fc.Arbitrary<T>;
const uint = fc.integer({ min: 0, max: UINT32 });
const seed = fc.maxSafeNat();
const positive = fc.double({ min: Number.MIN_VALUE, max: 1e300, noNaN: true });
const atLeast0 = fc.double({ min: 0, max: 1e300, noNaN: true }).map((x) => x + 0);
const real = fc.double({ noNaN: true, noDefaultInfinity: true });
const float = fc.float({ noNaN: true, noDefaultInfinity: true });
const ref: fc.Arbitrary<BlobRef> = record({
  sha256: fc.array(fc.constantFrom(..."0123456789abcdef"), { minLength: 64, maxLength: 64 }).map((d) => d.join("")),
  size: fc.maxSafeNat(),
});
const lora: fc.Arbitrary<AdapterSpec> = record({
  kind: fc.constant("lora" as const),
  rank: fc.integer({ min: 1, max: 4_096 }),
  alpha: positive,
  modules: fc.uniqueArray(fc.constantFrom("q_proj", "k_proj", "v_proj", "o_proj", "up")),
  dropout: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  initSeed: seed,
  freezeA: fc.boolean(),
  rslora: fc.boolean(),
});
const bottleneck: fc.Arbitrary<AdapterSpec> = record({
  kind: fc.constantFrom(...BOTTLENECK_KINDS),
  reduction: fc.double({ min: 1, max: 1e300, noNaN: true }),
  activation: fc.constantFrom(...BOTTLENECK_ACTIVATIONS),
  dropout: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
  initSeed: seed,
  freezeA: fc.boolean(),
});
const adapter = fc.oneof(lora, bottleneck);
const tuned = fc.oneof(
  adapter,
  seed.map((initSeed): TunedSpec => ({ ...FULL, initSeed })),
);
const optional = <T, K extends string>(key: K, value: fc.Arbitrary<T>) =>
  fc.option(value, { nil: undefined }).map((v) => (v === undefined ? {} : { [key]: v })) as fc.Arbitrary<
    Partial<Record<K, T>>
  >;

const tokenId = fc.integer({ min: 0, max: 2 ** 31 - 1 });
const answerPrefixes = fc
  .uniqueArray(fc.array(tokenId, { minLength: 1, maxLength: 3 }), { maxLength: 5, selector: String })
  .map((list) => list.sort(compareAnswerPrefixes));

const transforms = fc.array(fc.constantFrom(...TRANSFORMS), { minLength: 1, maxLength: 8 });
const transport: fc.Arbitrary<Transport> = fc
  .tuple(transforms, fc.constantFrom("shared", "group/2"), fc.nat(99), optional("after", fc.nat(99)))
  .map(([names, training, round, { after }]) => {
    const asked = { transforms: names, training, round: round + 100 };
    return after === undefined ? asked : { ...asked, after };
  });

const members = fc.array(ref, { minLength: 1, maxLength: 5 });
const task: fc.Arbitrary<TaskSpec> = fc.oneof(
  adapter.map((a): TaskSpec => ({ kind: "listChoices", adapter: a })),
  fc
    .tuple(
      adapter,
      optional("start", ref),
      fc.integer({ min: 1, max: 4_096 }),
      fc.integer({ min: 1, max: 16 }),
      seed,
      uint,
      fc.integer({ min: 0, max: 16 }),
      fc.array(answerPrefixes, { maxLength: 20 }),
      fc.integer({ min: 0, max: 15 }),
      fc.boolean(),
    )
    .map(
      ([
        a,
        start,
        dim,
        projections,
        s,
        limit,
        negatives,
        otherClientAnswers,
        otherClientAnswersLimit,
        labels,
      ]): TaskSpec => ({
        kind: "sketchGradients",
        adapter: a,
        ...start,
        dim,
        projections,
        seed: s,
        examplesLimit: limit,
        negatives,
        otherClientAnswers,
        otherClientAnswersLimit,
        labels,
      }),
    ),
  fc
    .tuple(
      tuned,
      optional("start", ref),
      fc.array(record({ adapter: ref, weight: real }), { maxLength: 3 }),
      record({
        learningRate: positive,
        weightDecay: atLeast0,
        warmupSteps: uint,
        totalSteps: fc.integer({ min: 5, max: UINT32 }),
        firstStep: fc.integer({ min: 0, max: 5 }),
        steps: fc.integer({ min: 1, max: MAX_STEPS }),
        batch: fc.integer({ min: 1, max: 65_536 }),
        clipNorm: atLeast0,
        seed,
      }),
      uint,
      fc.boolean(),
      optional("transport", transport),
    )
    .map(
      ([a, start, offset, training, every, validateStart, asked]): TaskSpec => ({
        kind: "trainAdapter",
        adapter: a,
        ...start,
        offset,
        training,
        validateEvery: every,
        validateStart,
        ...asked,
      }),
    ),
  fc
    .tuple(tuned, members, fc.constantFrom("train" as const, "validation" as const, "test" as const), uint)
    .chain(([a, m, split, limit]) =>
      fc
        .array(fc.oneof(fc.constant([]), fc.array(real, { minLength: m.length, maxLength: m.length })), {
          minLength: 1,
          maxLength: 4,
        })
        .map(
          (mixtures): TaskSpec => ({ kind: "evaluate", adapter: a, members: m, mixtures, split, examplesLimit: limit }),
        ),
    ),
  fc
    .tuple(adapter, members, atLeast0)
    .chain(([a, m, strength]) =>
      fc
        .array(atLeast0, { minLength: m.length, maxLength: m.length })
        .map((prior): TaskSpec => ({ kind: "fitWeights", adapter: a, members: m, prior, strength })),
    ),
  fc
    .tuple(
      adapter,
      fc.array(record({ name: fc.constantFrom("group-1", "boost_2.a"), adapter: ref, weight: atLeast0 }), {
        minLength: 1,
        maxLength: 3,
      }),
    )
    .map(([a, m]): TaskSpec => ({ kind: "receiveEnsemble", adapter: a, members: m })),
);

const spent = fc.double({ min: 0, max: 1e35, noNaN: true }).map((x) => x + 0);
const cost = record({ flops: spent, computeSeconds: spent, peakRssBytes: fc.maxSafeNat() });
/** A loss is over one token at least. */
const tokens = fc.integer({ min: 1, max: Number.MAX_SAFE_INTEGER });
const nllSum = fc.double({ min: -3.5e38, max: 3.5e38, noNaN: true });
const score: fc.Arbitrary<Score> = fc
  .tuple(
    nllSum,
    tokens,
    fc.nat(100),
    fc.nat(100),
    fc.nat(100),
    optional("macroF1", fc.double({ min: 0, max: 1, noNaN: true })),
  )
  .map(([nllSum, tokens, a, b, c, f1]) => {
    return { nllSum, tokens, correct: a, choiceRows: a + b, examples: a + b + c, ...f1 };
  });
const result: fc.Arbitrary<TaskResult> = fc.oneof(
  fc
    .tuple(ref, uint, cost)
    .map(([rows, n, c]): TaskResult => ({ kind: "sketchGradients", rows, trainExamples: n, cost: c })),
  fc
    .tuple(
      ref,
      fc.array(float, { maxLength: 9 }),
      uint,
      optional("bestStep", fc.nat(9)),
      fc.array(record({ step: uint, nllSum, tokens }), { maxLength: 3 }),
      cost,
      optional("transforms", transforms),
    )
    .map(
      ([values, losses, examples, best, validation, c, applied]): TaskResult => ({
        kind: "trainAdapter",
        values,
        losses,
        examples,
        ...best,
        validation,
        cost: c,
        ...applied,
      }),
    ),
  fc
    .tuple(fc.array(score, { minLength: 1, maxLength: 4 }), cost)
    .map(([scores, c]): TaskResult => ({ kind: "evaluate", scores, cost: c })),
  fc
    .tuple(fc.array(atLeast0, { minLength: 1, maxLength: 4 }), fc.integer({ min: 1 }), atLeast0, cost)
    .map(([weights, tokens, nll, c]): TaskResult => {
      const nllSums = weightAlternatives(weights, weights).map((_, at) => nll + at);
      return { kind: "fitWeights", weights, tokens, nllSums, cost: c };
    }),
  fc
    .tuple(answerPrefixes, cost)
    .map(([list, c]): TaskResult => ({ kind: "listChoices", answerPrefixes: list, cost: c })),
  cost.map((c): TaskResult => ({ kind: "receiveEnsemble", cost: c })),
);

describe("the envelope of tasks and results", () => {
  it("carries every task over the wire unchanged", () => {
    fc.assert(
      fc.property(task, (given) => {
        assert.deepEqual(throughTask(given), given);
        checkTask(given);
      }),
      { numRuns: 200 },
    );
  });

  it("carries every result over the wire unchanged", () => {
    fc.assert(
      fc.property(result, (given) => assert.deepEqual(throughResult(given), given)),
      { numRuns: 200 },
    );
  });

  it("turns no bytes whatever into anything but a checked value or a clear error", () => {
    const valid = task.map((given) => NextTask.responseSerialize({ task: encodeTask(TASK_ID, given) }));
    const garbled = fc
      .tuple(valid, fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }))
      .map(([bytes, flips]) => {
        const copy = Buffer.from(bytes);
        for (const [at, value] of flips) copy[at % copy.length] = value;
        return copy;
      });
    let [taken, refused] = [0, 0];
    fc.assert(
      fc.property(garbled, (bytes) => {
        let message: ReturnType<typeof NextTask.responseDeserialize>;
        try {
          message = NextTask.responseDeserialize(bytes);
        } catch {
          return; // protobufjs refuses what is no message; gRPC answers for it
        }
        if (!message.task) return;
        try {
          const decoded = decodeTask(message.task).task;
          assert.deepEqual(throughTask(decoded), decoded);
          taken++;
        } catch (error) {
          // A garbled name is that of no kind.
          const codes = ["invalid_message", "unsupported"];
          assert.ok(error instanceof KindredError && codes.includes(error.code), String(error));
          refused++;
        }
      }),
      { numRuns: 500 },
    );
    assert.ok(taken > 0 && refused > 0, "both ends were met");
  });

  it("refuses a task of an unknown kind by its name, and says which kinds there are", () => {
    const message = { ...encodeTask(TASK_ID, trainTask()), kind: "foldProteins" } as Parameters<typeof decodeTask>[0];
    assert.throws(() => decodeTask(message), { code: "unsupported", message: /"foldProteins".*trainAdapter.*update/ });
    const cost = { flops: 0, computeSeconds: 0, peakRssBytes: 0 };
    const answer = encodeResult(TASK_ID, { kind: "receiveEnsemble", cost });
    const renamed = { ...answer, kind: "foldProteins" } as Parameters<typeof decodeResult>[0];
    assert.throws(() => decodeResult(renamed), { code: "invalid_message", message: /^kind must be one of .*fold/ });
  });

  it("refuses a body that is no message, with the message's type", () => {
    const message = { taskId: TASK_ID, kind: "evaluate", body: Buffer.from([0xff, 0xff, 0xff]), transport: null };
    assert.throws(() => decodeTask(message), {
      code: "invalid_message",
      message: /^body must be a message of type kindred\.v1\.Evaluate, got 3 other bytes/,
    });
  });

  const train = trainTask();
  const settings = { kind: "houlsby", reduction: 4, activation: "relu", dropout: 0, freezeA: true } as const;
  const BOTTLENECK: AdapterSpec = { ...settings, initSeed: 1 };
  const sketch = {
    kind: "sketchGradients",
    adapter: ADAPTER,
    dim: 8,
    projections: 1,
    seed: 1,
    examplesLimit: 0,
    negatives: 0,
    otherClientAnswers: [],
    otherClientAnswersLimit: 0,
    labels: false,
  } as const;
  const evaluate = evaluateTask([{ sha256: "ab".repeat(32), size: 1 }]);
  const bad: readonly (readonly [string, TaskSpec])[] = [
    ["adapter.rank", { ...train, adapter: { ...ADAPTER, rank: 0 } }],
    ["adapter.alpha", { ...train, adapter: { ...ADAPTER, alpha: 0 } }],
    ["adapter.modules", { ...train, adapter: { ...ADAPTER, modules: ["q", "q"] } }],
    ["adapter.reduction", { ...train, adapter: { ...BOTTLENECK, reduction: 0.5 } }],
    ["adapter.activation", { ...train, adapter: { ...BOTTLENECK, activation: "tanh" as "relu" } }],
    ["adapter.rank", { ...train, adapter: { ...BOTTLENECK, rank: 4 } as AdapterSpec }],
    ["adapter.length of modules", { ...train, adapter: { ...BOTTLENECK, modules: ["q_proj"] } as AdapterSpec }],
    ["adapter.reduction", { ...train, adapter: { ...ADAPTER, reduction: 4 } as AdapterSpec }],
    ["adapter.kind", { ...train, adapter: { ...ADAPTER, kind: "prefix" } as unknown as AdapterSpec }],
    ["adapter.dropout", { ...train, adapter: { ...ADAPTER, dropout: 1 } }],
    ["adapter.dropout", { ...train, adapter: { ...FULL, dropout: 0.1, initSeed: 0 } as unknown as TunedSpec }],
    ["adapter.rank", { ...train, adapter: { ...FULL, rank: 1, initSeed: 0 } as TunedSpec }],
    ["adapter.kind", { ...sketch, adapter: { ...FULL, initSeed: 0 } as unknown as AdapterSpec }],
    ["learning_rate", { ...train, training: { ...train.training, learningRate: Number.NaN } }],
    ["first_step", { ...train, training: { ...train.training, firstStep: 11 } }],
    ["training.steps", { ...train, training: { ...train.training, steps: 0 } }],
    ["start.sha256", { ...train, start: { sha256: "AB".repeat(32), size: 1 } }],
    ["start.size", { ...train, start: { sha256: "ab".repeat(32), size: 2 ** 53 } }],
    [
      "offset[0].weight",
      { ...train, offset: [{ adapter: { sha256: "ab".repeat(32), size: 1 }, weight: Number.POSITIVE_INFINITY }] },
    ],
    ["transport.transforms", { ...train, transport: { transforms: [], training: "t", round: 1 } }],
    ["transport.transforms[0]", { ...train, transport: { transforms: ["int2" as "int8"], training: "t", round: 1 } }],
    ["transport.training", { ...train, transport: { transforms: ["int8"], training: "", round: 1 } }],
    ["transport.after", { ...train, transport: { transforms: ["int8"], training: "t", round: 1, after: 1 } }],
    [
      "transport must be unset for tasks of kind evaluate",
      { ...evaluate, transport: { transforms: ["int8"], training: "t", round: 1 } } as TaskSpec,
    ],
    ["mixtures", { ...evaluate, mixtures: [] }],
    ["mixtures[1].weights", { ...evaluate, mixtures: [[1], [1, 2]] }],
    ["prior", { kind: "fitWeights", adapter: ADAPTER, members: evaluate.members, prior: [], strength: 1 }],
    ["strength", { kind: "fitWeights", adapter: ADAPTER, members: evaluate.members, prior: [1], strength: -1 }],
    ["sketch_gradients.dim", { ...sketch, dim: 0 }],
    ["sketch_gradients.projections", { ...sketch, projections: 17 }],
    ["sketch_gradients.dim x projections", { ...sketch, dim: 40_000, projections: 2 }],
    ["sketch_gradients.negatives", { ...sketch, negatives: 17 }],
    ["sketch_gradients.other_client_answers_limit", { ...sketch, otherClientAnswersLimit: 16 }],
    ["sketch_gradients.other_client_answers[0].lengths[1]", { ...sketch, otherClientAnswers: [[[7], [7]]] }],
    [
      "sketch_gradients.other_client_answers[1].lengths[2]",
      { ...sketch, otherClientAnswers: [[], [[7], [7, 9], [7, 8]]] },
    ],
    ["sketch_gradients.other_client_answers[0].lengths", { ...sketch, otherClientAnswers: [[[]]] }],
    ["sketch_gradients.other_client_answers[0].tokens[1]", { ...sketch, otherClientAnswers: [[[7, 2 ** 31]]] }],
    ["sketch_gradients.other_client_answers[0].tokens", { ...sketch, otherClientAnswers: [[Array(5000).fill(7)]] }],
    ["sketch_gradients.other_client_answers", { ...sketch, otherClientAnswers: Array(66).fill([Array(4000).fill(7)]) }],
    [
      "members[0].name",
      {
        kind: "receiveEnsemble",
        adapter: ADAPTER,
        members: [{ name: "../up", adapter: evaluate.members[0] as BlobRef, weight: 1 }],
      },
    ],
  ];
  for (const [field, spec] of bad) {
    it(`refuses a task whose ${field} is out of range, on both sides`, () => {
      const named = (code: string) => (error: unknown) =>
        error instanceof KindredError && error.code === code && error.message.includes(field);
      assert.throws(() => throughTask(spec), named("invalid_message"));
      assert.throws(() => checkTask(spec), named("invalid_option"));
    });
  }

  it("refuses seeds that are no whole numbers instead of rounding them", () => {
    for (const wrong of [0.5, -1, 2 ** 53]) {
      assert.throws(
        () => checkTask({ ...train, training: { ...train.training, seed: wrong } }),
        KindredError,
        String(wrong),
      );
    }
  });

  const scored: Score = { nllSum: 1, tokens: 1, correct: 0, choiceRows: 0, examples: 1 };
  const free = { flops: 0, computeSeconds: 0, peakRssBytes: 0 };
  it("tells a result that does not answer its task", () => {
    const none = { kind: "evaluate", scores: [scored, scored], cost: free } as const;
    assert.throws(() => checkAnswers(evaluate, none), /evaluate\.scores must be 1, got 2/);
    assert.throws(() => checkAnswers(train, none), /trainAdapter/);
    checkAnswers(evaluate, { ...none, scores: [scored] });
    const trained = {
      kind: "trainAdapter",
      values: evaluate.members[0] as BlobRef,
      losses: [1],
      examples: 1,
      cost: free,
    } as const;
    const at = (...steps: number[]) => ({
      ...trained,
      validation: steps.map((step) => ({ step, nllSum: 1, tokens: 1 })),
    });
    checkAnswers(train, at(0, 2, 3));
    assert.throws(() => checkAnswers(train, at(2, 2)), /validation/);
    assert.throws(() => checkAnswers(train, at(4)), /validation/);
  });
  it("tells an update that did not pass the transforms that its task asked for, or passed others", () => {
    const values = evaluate.members[0] as BlobRef;
    const plain = { kind: "trainAdapter", values, losses: [], examples: 1, validation: [], cost: free } as const;
    const asked = { ...train, transport: { transforms: ["int8"], training: "t", round: 1 } } as const;
    checkAnswers(train, plain);
    checkAnswers(asked, { ...plain, transforms: ["int8"] });
    assert.throws(() => checkAnswers(asked, plain), /transforms must be those of the task \(int8\), got "none"/);
    assert.throws(() => checkAnswers(asked, { ...plain, transforms: ["fp16"] }), /\(int8\), got "fp16"/);
    assert.throws(() => checkAnswers(train, { ...plain, transforms: ["int8"] }), /\(none\), got "int8"/);
  });
  it("tells a score that contradicts itself", () => {
    const wrong = { kind: "evaluate", cost: free } as const;
    assert.throws(() => throughResult({ ...wrong, scores: [{ ...scored, choiceRows: 2 }] }), /choice_rows/);
    assert.throws(() => throughResult({ ...wrong, scores: [{ ...scored, macroF1: 1.5 }] }), /macro_f1/);
    assert.throws(() => throughResult({ ...wrong, scores: [{ ...scored, choiceRows: 1, correct: 2 }] }), /correct/);
    assert.throws(() => throughResult({ ...wrong, scores: [{ ...scored, nllSum: Number.NaN }] }), /nll_sum/);
    // Two of them would make a run's sum infinite.
    for (const nllSum of [1.7e308, -1.7e308]) {
      assert.throws(() => throughResult({ ...wrong, scores: [{ ...scored, nllSum }] }), /nll_sum must be within/);
    }
    for (const field of ["flops", "computeSeconds"]) {
      assert.throws(
        () => throughResult({ ...wrong, scores: [scored], cost: { ...wrong.cost, [field]: 1e300 } }),
        /cost\..* at most 1e\+35/,
      );
    }
  });
});

describe("sizes", () => {
  it("a result with as many losses as are allowed fits a message", () => {
    const losses = Array.from({ length: MAX_STEPS }, () => 1);
    const full = encodeResult(TASK_ID, {
      kind: "trainAdapter",
      values: { sha256: TASK_ID, size: 1 },
      losses,
      examples: 1,
      validation: [],
      cost: { flops: 1, computeSeconds: 1, peakRssBytes: 1 },
    });
    assert.ok(ReportResult.requestSerialize(full).length < MAX_MESSAGE_BYTES);
  });

  it("a transfer is counted as its chunks weigh, within 0.1 %", () => {
    const { Download } = services.Blobs.service;
    const size = 3 * MAX_CHUNK_BYTES + 100_000;
    let weighed = 0;
    for (let offset = 0; offset < size; offset += MAX_CHUNK_BYTES) {
      const data = Buffer.alloc(Math.min(MAX_CHUNK_BYTES, size - offset));
      weighed += Download.responseSerialize({ offset: String(offset), data, crc32: 0xffffffff }).length + 5;
    }
    assert.ok(Math.abs(transferBytes(size) / weighed - 1) < 0.001, `${transferBytes(size)} for ${weighed}`);
    assert.equal(transferBytes(0), 0);
  });

  it("a task weighs what it weighs on the wire", () => {
    assert.equal(
      taskBytes(TASK_ID, trainTask()),
      NextTask.responseSerialize({ task: encodeTask(TASK_ID, trainTask()) }).length + 5,
    );
  });

  it("a result is as long on the wire whatever memory its client took: equal runs count equal bytes", () => {
    const lengthWith = (peakRssBytes: number): number =>
      ReportResult.requestSerialize(
        encodeResult(TASK_ID, { kind: "receiveEnsemble", cost: { flops: 5, computeSeconds: 0.1, peakRssBytes } }),
      ).length;
    assert.deepEqual([2 ** 27, 2 ** 28, 2 ** 36].map(lengthWith), Array(3).fill(lengthWith(1)));
  });

  it("a blob that a task names twice is one", () => {
    const [one, two] = [
      { sha256: "aa".repeat(32), size: 1 },
      { sha256: "bb".repeat(32), size: 2 },
    ];
    assert.deepEqual(blobsOfTask(evaluateTask([one, two, one])), [one, two]);
    assert.deepEqual(blobsOfTask({ ...trainTask(two), offset: [{ adapter: one, weight: 1 }] }), [two, one]);
  });
});
