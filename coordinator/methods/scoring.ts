/**
 * Every method's score on each client's test rows. One task per client scores all mixtures of adapters in one pass; full fine-tuning
 * has values of another kind, and so a task of its own. The cost is the report's: no method pays it.
 */
import type { MethodName } from "../../shared/config/enumerations.js";
import type { Evaluate, Score } from "../../tasks/evaluate/message.js";
import { beginStage, type EventSink } from "../events/events.js";
import type { Cohort } from "../run/cohort.js";
import type { MixturePart, Trained } from "./method.js";

/** Test scores by client. */
export type MethodScores = ReadonlyMap<string, Score>;

/** @param methods in the order of reports. @param clients to score, in the run's order */
export async function scoreMethods(
  { cohort, events }: { readonly cohort: Cohort; readonly events: EventSink },
  methods: ReadonlyMap<MethodName, Trained>,
  clients: readonly string[],
): Promise<Map<MethodName, MethodScores>> {
  const kinds: Map<MethodName, Trained>[] = [];
  for (const key of ["adapters", "full"] as const) {
    const ofKind = [...methods].filter(([, { adapter }]) => (adapter.kind === "full") === (key === "full"));
    if (ofKind.length > 0) kinds.push(new Map(ofKind));
  }
  const stage = beginStage(events, "score test rows", clients.length * kinds.length);
  const scores = new Map<MethodName, Map<string, Score>>();
  let scored = 0;
  for (const ofKind of kinds) {
    const [{ adapter }] = ofKind.values() as unknown as [Trained];
    const { results } = await cohort.ask({
      stage: "score",
      key: adapter.kind === "full" ? "score/full" : "score",
      clients,
      taskOf: (client) => testTask(ofKind, client),
      weight: (rows) => rows.test,
      onShare: (share, answered) => stage.answered((scored + share) / kinds.length, answered, clients.length),
    });
    scored++;
    for (const [client, result] of results)
      [...ofKind.keys()].forEach((method, at) => {
        const ofMethod = scores.get(method) ?? new Map<string, Score>();
        ofMethod.set(client, result.scores[at]!);
        scores.set(method, ofMethod);
      });
  }
  stage.end();
  for (const [method, ofMethod] of scores)
    for (const [client, { nllSum, tokens, correct, choiceRows }] of ofMethod)
      events.emit({
        type: "score",
        method,
        client,
        loss: nllSum / tokens,
        accuracy: choiceRows > 0 ? correct / choiceRows : null,
      });
  return scores;
}

function testTask(methods: ReadonlyMap<MethodName, Trained>, client: string): Evaluate {
  const mixtures = [...methods.values()].map((method) => method.mixture(client));
  const refs = [...new Map(mixtures.flatMap((parts) => parts.map(({ values }) => [values.sha256, values]))).values()];
  const weightIn = (parts: readonly MixturePart[], sha256: string): number =>
    parts.find(({ values }) => values.sha256 === sha256)?.weight ?? 0;
  const [{ adapter }] = methods.values() as unknown as [Trained];
  return {
    kind: "evaluate",
    adapter,
    members: refs,
    mixtures: mixtures.map((parts) => (parts.length === 0 ? [] : refs.map(({ sha256 }) => weightIn(parts, sha256)))),
    split: "test",
    examplesLimit: 0,
  };
}
