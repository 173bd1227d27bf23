import assert from "node:assert/strict";
import test from "node:test";
import { calibrated } from "../../../coordinator/estimation/calibration.js";
import { memberValues } from "../../../coordinator/estimation/evaluate.js";
import { forecastOf } from "../../../coordinator/estimation/forecast.js";
import { fitHeldOut } from "../../../coordinator/estimation/held-out.js";
import { SurrogateEvaluator } from "../../../coordinator/estimation/partition-evaluator.js";
import { buildProblem, crossFit } from "../../../coordinator/estimation/problem.js";
import { createReferenceSolver } from "../../../coordinator/estimation/reference.js";
import { randomSketches } from "./sketches.js";

const close = (actual: number, wanted: number): void =>
  assert.ok(Math.abs(actual - wanted) < 1e-9, `${actual}, not ${wanted}`);

for (const folds of [1, 3])
  test(`alone every client has the real loss of its own adapter, and joint training changes it by the surrogates' share, ${folds} folds`, async () => {
    const solver = createReferenceSolver(crossFit(buildProblem(randomSketches(4, { dim: 6 })), folds), {
      lambda: 1e-2,
    });
    const { clients } = solver.problem;
    const own = new Map(clients.map((client, i) => [client, 0.5 + i]));
    const level = await calibrated(solver, { own, common: new Map() });
    const alone = clients.map((_, i) => [i]);
    const values = async (of: typeof solver, subsets: number[][]) =>
      memberValues(await fitHeldOut(of, subsets)).map((one) => [...one]);
    const [before, after] = [await values(solver, alone), await values(level, alone)];
    for (const [i, [value]] of after.entries()) close(-value!, 0.5 + i);
    const together = [[0, 1, 2, 3]];
    const [[plain], [raised]] = [await values(solver, together), await values(level, together)];
    for (const [i, value] of plain!.entries()) close(raised![i]!, ((0.5 + i) * value) / -before[i]![0]!);
    const { loss } = await forecastOf(level, together);
    close(loss.value, -raised!.reduce((sum, value) => sum + value, 0) / 4);
    const [value] = await new SurrogateEvaluator(level).values([alone]);
    close(value!, -2);
  });

test("a client without a real loss gets the geometric mean of the others' factors, and no factor is above a hundred", async () => {
  const solver = createReferenceSolver(buildProblem(randomSketches(3, { dim: 6 })), { lambda: 1e-2 });
  const [a, b] = solver.problem.clients as [string, string, string];
  const { losses } = await fitHeldOut(solver, [[0], [1]]);
  const [first, second] = losses.map(([of]) => of!.reduce((sum, x) => sum + x, 0) / of!.length) as [number, number];
  const own = new Map([
    [a, 2 * first],
    [b, 1000 * second],
  ]);
  const affineCalibrations = (await calibrated(solver, { own, common: new Map() })).problem.affineCalibrations!;
  close(affineCalibrations[0]!.scale, 2);
  close(affineCalibrations[1]!.scale, 100);
  close(affineCalibrations[2]!.scale, Math.sqrt(200));
});

test("the real losses of the common adapter scale each client's effects of joint training, and levels stay", async () => {
  const solver = createReferenceSolver(buildProblem(randomSketches(4, { dim: 6 })), { lambda: 1e-2 });
  const { clients } = solver.problem;
  const losses = async (of: typeof solver, subset: number[]) =>
    [...memberValues(await fitHeldOut(of, [subset]))[0]!].map((value) => -value);
  const all = [0, 1, 2, 3];
  const alone = (await Promise.all(all.map((i) => losses(solver, [i])))).flat();
  const own = new Map(clients.map((client, i) => [client, 2 * alone[i]!]));
  const foreseen = await losses(solver, all);
  const withSlopes = (slopes: readonly number[]) =>
    calibrated(solver, {
      own,
      common: new Map(
        clients.map((client, i) => [client, 2 * alone[i]! + 2 * slopes[i]! * (foreseen[i]! - alone[i]!)]),
      ),
    });
  const slopes = [0.4, 0.7, 1.1, 0.2];
  const level = await withSlopes(slopes);
  const pair = await losses(solver, [1, 3]);
  for (const [at, loss] of (await losses(level, [1, 3])).entries()) {
    const i = [1, 3][at]!;
    close(loss, 2 * alone[i]! + 2 * slopes[i]! * (pair[at]! - alone[i]!));
  }
  for (const i of all) close((await losses(level, [i]))[0]!, 2 * alone[i]!);
  // The real effect is unknown for a client without an adapter of its own.
  const [stranger, ...known] = clients;
  const { affineCalibrations } = (
    await calibrated(solver, {
      own: new Map(known.map((client) => [client, own.get(client)!])),
      common: new Map([
        [stranger!, 1000],
        ...known.map((client, k): [string, number] => [
          client,
          2 * alone[k + 1]! + 2 * 0.4 * (foreseen[k + 1]! - alone[k + 1]!),
        ]),
      ]),
    })
  ).problem;
  for (const { scale } of affineCalibrations!) close(scale, 2 * 0.4);
  // A real effect of the other sign is noise or comes from another model: the effect of joint training is not inverted.
  const [flat, steep] = (await withSlopes([-1, 5, 1, 1])).problem.affineCalibrations!;
  close(flat!.scale, 2 * 0.1);
  close(steep!.scale, 2 * 2);
});

test("a client for which the common adapter is better than predicted gains by the others' share of the training rows", async () => {
  const sketches = randomSketches(4, { dim: 6 });
  const solver = createReferenceSolver(buildProblem(sketches), { lambda: 1e-2 });
  const { clients, trainExamples } = solver.problem;
  const all = [0, 1, 2, 3];
  const losses = async (of: typeof solver, subset: number[]) =>
    [...memberValues(await fitHeldOut(of, [subset]))[0]!].map((value) => -value);
  const alone = (await Promise.all(all.map((i) => losses(solver, [i])))).flat();
  const foreseen = await losses(solver, all);
  const own = new Map(clients.map((client, i) => [client, alone[i]!]));
  // For client 1 an adapter for all is better by 0.3 nats; the others have the predicted losses.
  const real = new Map(clients.map((client, i) => [client, i === 1 ? alone[i]! - 0.3 : foreseen[i]!]));
  const level = await calibrated(solver, { own, common: real });
  close((await losses(level, [1]))[0]!, alone[1]!);
  close((await losses(level, all))[1]!, alone[1]! - 0.3);
  const { scale, steps } = level.problem.affineCalibrations![1]!;
  assert.ok(steps < 0 && new Set(trainExamples).size > 1);
  const pair = [1, 2];
  const [n1, n2] = [trainExamples[1]!, trainExamples[2]!];
  const total = trainExamples.reduce((sum, count) => sum + count, 0);
  const share = n2 / (n1 + n2) / ((total - n1) / total);
  const [before] = await losses(solver, pair);
  const [after, other] = await losses(level, pair);
  close(after!, alone[1]! + scale * (before! - alone[1]!) + steps * share);
  close(other!, (await losses(solver, pair))[1]!);
  // The evaluator, also for a client under other groups, and the forecast agree.
  const forecast = await new SurrogateEvaluator(level).valuesInGroups([[1, 2], [0], [3]]);
  close(-forecast[1]![0]!, after!);
  const { loss } = await forecastOf(level, [[1, 2], [0], [3]]);
  close(loss.value, (after! + other! + (await losses(level, [0]))[0]! + (await losses(level, [3]))[0]!) / 4);
});

test("a loss that is not a positive number is refused with its client's name", async () => {
  const solver = createReferenceSolver(buildProblem(randomSketches(3, { dim: 6 })));
  for (const loss of [0, Number.NaN, Number.POSITIVE_INFINITY])
    for (const real of [
      { own: new Map([["client-1", loss]]), common: new Map<string, number>() },
      { own: new Map<string, number>(), common: new Map([["client-1", loss]]) },
    ])
      await assert.rejects(calibrated(solver, real), /the real loss of client client-1 must be a number above 0/);
});
