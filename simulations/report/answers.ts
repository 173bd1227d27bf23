/** Which answers were given to which right ones, and test rows as examples. Both quote rows: for simulations alone. */
import type { Example } from "../../client/data/types.js";
import { SeededRng } from "../../shared/base/random.js";
import { answerOf, choicesOf, type ScoredTestRows } from "./measured.js";
import type { Answers, ExampleAnswer, Examples, MethodName } from "./types.js";

/** More labels make no readable table: the rarer ones are counted together. */
const MAX_LABELS = 10;
/** Characters shown of a prompt's end, of an answer. */
const MAX_PROMPT = 280;
const MAX_ANSWER = 120;

/** Undefined where no row has choices. */
export function answersOf(clients: readonly ScoredTestRows[]): Answers | undefined {
  const counts = new Map<string, number>();
  const labelled = clients.map(({ rows, methods }) => ({
    methods,
    rows: rows.flatMap((row, r) =>
      choicesOf(row) && row.kind === "answer" ? [{ row, r, right: row.completion }] : [],
    ),
  }));
  for (const { rows } of labelled) for (const { right } of rows) counts.set(right, (counts.get(right) ?? 0) + 1);
  if (counts.size === 0) return undefined;
  const labels = [...counts]
    .sort(([a, m], [b, n]) => n - m || (a < b ? -1 : 1))
    .slice(0, MAX_LABELS)
    .map(([label]) => label);
  const places = new Map(labels.map((label, k) => [label, k]));
  const placeOf = (answer: string | undefined): number => places.get(answer ?? "") ?? labels.length;
  const confusion: Partial<Record<MethodName, number[][]>> = {};
  for (const { rows, methods } of labelled)
    for (const [method, scores] of methods) {
      confusion[method] ??= Array.from({ length: labels.length + 1 }, () =>
        new Array<number>(labels.length + 1).fill(0),
      );
      for (const { row, r, right } of rows) confusion[method][placeOf(right)]![placeOf(answerOf(row, scores[r]!))]!++;
    }
  const others = Object.values(confusion).some((table) =>
    table.some((row, k) => (row[labels.length] ?? 0) > 0 || (k === labels.length && row.some((count) => count > 0))),
  );
  const shown = Object.entries(confusion).map(([method, table]) => [
    method,
    others ? table : table.slice(0, -1).map((row) => row.slice(0, -1)),
  ]);
  return { labels, others, confusion: Object.fromEntries(shown) };
}

/**
 * Rows drawn at random: among those on which the methods' answers differ, where there are any.
 * @param count at most so many. @param seed of the draw
 */
export function examplesOf(clients: readonly ScoredTestRows[], count: number, seed: number): Examples | undefined {
  const all = clients.flatMap((of) => of.rows.map((row, r) => ({ of, row, r })));
  if (count === 0 || all.length === 0) return undefined;
  const differing = all.filter(
    ({ of, row, r }) => new Set([...of.methods.values()].map((scores) => answerOf(row, scores[r]!))).size > 1,
  );
  const among = differing.length > 0 ? differing : all;
  const order = new SeededRng(seed, "example answers").permutation(among.length);
  return {
    rows: Array.from(order.slice(0, count), (k) => exampleOf(among[k]!)),
    of: among.length,
    all: all.length,
    differing: differing.length > 0,
  };
}

function exampleOf({
  of,
  row,
  r,
}: {
  readonly of: ScoredTestRows;
  readonly row: Example;
  readonly r: number;
}): ExampleAnswer {
  const methods = [...of.methods].map(([method, scores]) => {
    const score = scores[r]!;
    const answer = answerOf(row, score);
    return [
      method,
      { loss: score.nll / of.tokens[r]!, ...(answer === undefined ? {} : { answer: head(answer, MAX_ANSWER) }) },
    ];
  });
  return { client: of.client, ...textOf(row), methods: Object.fromEntries(methods) };
}

function textOf(row: Example): { readonly prompt: string; readonly right: string } {
  switch (row.kind) {
    case "text":
      return { prompt: tail(row.text, MAX_PROMPT), right: "" };
    case "answer":
      return { prompt: tail(row.prompt, MAX_PROMPT), right: head(row.completion, MAX_ANSWER) };
    case "chat": {
      const last = row.messages.findLastIndex(({ role }) => role === "assistant");
      const before = row.messages.slice(0, last).map(({ role, content }) => `${role}: ${said(content)}`);
      return {
        prompt: tail(before.join("\n"), MAX_PROMPT),
        right: head(said(row.messages[last]?.content), MAX_ANSWER),
      };
    }
  }
}

/** A message's content, which a chat template may take in other forms than text. */
const said = (content: unknown): string => (typeof content === "string" ? content : (JSON.stringify(content) ?? ""));

/** In code points, so that no character is cut in two. */
function head(text: string, most: number): string {
  const points = [...text.slice(0, 2 * most + 2)];
  return points.length > most ? `${points.slice(0, most - 1).join("")}…` : text;
}

function tail(text: string, most: number): string {
  const points = [...text.slice(-2 * most - 2)];
  return points.length > most ? `…${points.slice(1 - most).join("")}` : text;
}
