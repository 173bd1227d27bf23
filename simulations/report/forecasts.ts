/** What was estimated before any group was trained, beside what was measured in the end. */
import type { ForecastValue } from "../../coordinator/estimation/forecast.js";
import type { RunOutcome } from "../../coordinator/open-run.js";
import {
  at,
  byClient,
  type Forecasted,
  type Forecasts,
  type Interval,
  type MethodName,
  type MethodResult,
} from "./types.js";

/** Undefined where Kindred was not scored. @param lossInterval of the measured mean loss, in the estimate's unit */
export function forecastsOf(
  { clients, estimate, methods: sent }: Pick<RunOutcome, "clients" | "estimate" | "methods">,
  { kindred }: Readonly<Partial<Record<MethodName, MethodResult>>>,
  lossInterval: Interval | undefined,
): Forecasts | undefined {
  const { forecast } = estimate.facts;
  if (kindred === undefined) return undefined;
  const places = new Map(estimate.clients.map((name, i) => [name, i]));
  const own = clients.map((name) => {
    const i = places.get(name) as number;
    const { nllSum, tokens, examples, choiceRows } = sent.get("kindred")!.get(name)!;
    const accuracy = forecast.clients.accuracy[i] ?? null;
    const measured = at(kindred.clients, name)?.accuracy ?? null;
    return {
      name,
      loss: {
        estimated: forecast.clients.loss[i]!,
        // As the estimate has it: choices per row, texts per token.
        measured: choiceRows > 0 ? nllSum / examples : nllSum / tokens,
      },
      ...(accuracy === null || measured === null ? {} : { accuracy: { estimated: accuracy, measured } }),
    };
  });
  const measuredLoss = own.reduce((sum, { loss }) => sum + loss.measured, 0) / own.length;
  const { accuracy, accuracyInterval, macroF1, macroF1Interval } = kindred.mean;
  return {
    mean: {
      loss: beside(forecast.loss, measuredLoss, lossInterval),
      ...(forecast.accuracy &&
        accuracy !== null && { accuracy: beside(forecast.accuracy, accuracy, accuracyInterval) }),
      ...(forecast.macroF1 && macroF1 !== undefined && { macroF1: beside(forecast.macroF1, macroF1, macroF1Interval) }),
    },
    clients: byClient(own.map(({ name, ...values }) => [name, values])),
  };
}

const beside = ({ value, standardError }: ForecastValue, measured: number, interval?: Interval): Forecasted => ({
  estimated: value,
  standardError,
  measured,
  interval,
});
