/** The report's sections on answers: which were given to which right ones, and test rows as examples. */
import * as format from "../../../shared/base/format.js";
import { key } from "../figures/marks.js";
import { html, type Markup } from "../markup.js";
import { type Answers, at, type ExampleAnswer, type MethodName } from "../types.js";
import { METHOD_NAMES, type View } from "../views.js";
import { folded, scrolling } from "./values.js";

export function answersSection({ report: { answers }, methods }: View): Markup | "" {
  if (answers === undefined) return "";
  const shown = methods.filter((method) => answers.confusion[method] !== undefined);
  // One scale for all methods.
  const largest = Math.max(1, ...shown.flatMap((method) => answers.confusion[method]!.flat()));
  const tables = shown.map((method) => html`<div>${confusionTable(method, answers, largest)}</div>`);
  const total = shown.length > 0 ? answers.confusion[shown[0]!]!.flat().reduce((sum, count) => sum + count, 0) : 0;
  return folded(
    "answers",
    "Right answers and answers given",
    `confusion matrices of ${format.counted(total, "test row")}`,
    html`<p class="lead">Rows: the right answer; columns: the answer given; numbers of test rows, over all clients. Right answers are outlined.${answers.others && " The last row and column are all other answers."}</p><div class="row">${tables}</div>`,
  );
}

function confusionTable(method: MethodName, { labels, others, confusion }: Answers, largest: number): Markup {
  const names = [...labels.map(labelText), ...(others ? ["others"] : [])];
  const table = confusion[method]!;
  const rows = names.map(
    (name, r) =>
      html`<tr><th scope="row" class="name">${name}</th>${names.map((_, c) => {
        const count = table[r]![c]!;
        const heat = count === 0 ? "soft" : `heat${Math.ceil((4 * count) / largest)}`;
        return html`<td class="${heat}${r === c && r < labels.length && " right"}">${count === 0 ? "·" : count}</td>`;
      })}</tr>`,
  );
  return html`<h3>${key(method)} ${METHOD_NAMES[method]}</h3>${scrolling(
    `Answers of ${METHOD_NAMES[method]}`,
    html`<table class="counts confusion"><thead><tr><th class="name">Right</th>${names.map((name) => html`<th scope="col">${name}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`,
  )}`;
}

/** An answer as it is, its outer blanks apart: " yes" is shown as "yes". */
const labelText = (text: string): string => text.trim() || JSON.stringify(text);

export function examplesSection(view: View): Markup | "" {
  const { examples } = view.report;
  if (examples === undefined || examples.rows.length === 0) return "";
  const drawn = examples.differing
    ? `Drawn at random among the ${format.count(examples.of)} of ${format.counted(examples.all, "test row")} on which the methods' answers differ, so methods look less alike here than they are.`
    : `Drawn at random among ${format.counted(examples.all, "test row")}.`;
  return folded(
    "examples",
    "Example answers",
    `${format.counted(examples.rows.length, "test row")}, every method's answer`,
    html`<p class="lead">${drawn} Losses are in nats per token.</p><div class="examples">${examples.rows.map((row) => exampleBlock(view, row))}</div><p class="note">These rows are quoted from the data: mind whom you give this page to. <code>report.examples: 0</code> leaves them out.</p>`,
  );
}

function exampleBlock({ methods }: View, { client, prompt, right, methods: by }: ExampleAnswer): Markup {
  const withAnswers = methods.some((method) => at(by, method)?.answer !== undefined);
  const rows = methods.flatMap((method) => {
    const of = at(by, method);
    if (of === undefined) return [];
    const hit = of.answer === right;
    const answer =
      withAnswers &&
      html`<td class="wrap left">${of.answer === undefined ? "–" : labelText(of.answer)}</td><td class="left">${of.answer !== undefined && (hit ? "right" : html`<b>wrong</b>`)}</td>`;
    return [
      html`<tr><th scope="row">${key(method)} ${METHOD_NAMES[method]}</th>${answer}<td>${format.loss(of.loss)}</td></tr>`,
    ];
  });
  const [, blank, completion] = /^(\s*)(.*)$/s.exec(right)!;
  const heads = withAnswers && html`<th class="left">Answer</th><th class="left">Verdict</th>`;
  return html`<div><div class="soft"><bdi>${client}</bdi></div><blockquote>${prompt}${blank}${completion !== "" && html`<mark>${completion}</mark>`}</blockquote>${scrolling("Answers to this row", html`<table><thead><tr><th>Method</th>${heads}<th>Loss</th></tr></thead><tbody>${rows}</tbody></table>`)}</div>`;
}
