/**
 * A study and the output of its findings: a page with figures, the numbers as JSON, and tables in the terminal. It knows nothing of the
 * subjects of studies.
 */
import { join } from "node:path";
import { writeAtomically } from "../../../shared/base/atomic.js";
import type { JobContext } from "../../../shared/base/command.js";
import { aligned } from "../../../shared/base/terminal.js";
import { pageOf } from "../../report/document.js";
import { html, type Markup } from "../../report/markup.js";

export interface StudyJob {
  /** Folder of findings and measurements. */
  readonly out: string;
  /** Replace existing measurements. */
  readonly force: boolean;
  readonly seed: number;
  /** Number of seeds, from `seed` on. */
  readonly seeds: number;
  /** Folder of the user's model, if any. */
  readonly model: string | undefined;
}

export interface Study {
  readonly about: string;
  /** Takes no more than one seed per run. */
  readonly oneSeed?: true;
  readonly run: (job: StudyJob, context: JobContext) => Promise<Findings>;
}

/** Measures for each of the job's seeds, in a folder of its own. */
export async function bySeed<T>(job: StudyJob, measure: (job: StudyJob) => Promise<T>): Promise<T[]> {
  const results: T[] = [];
  for (let seed = job.seed; seed < job.seed + job.seeds; seed++)
    results.push(await measure({ ...job, seed, out: join(job.out, `seed-${seed}`) }));
  return results;
}

export interface Table {
  readonly head: readonly string[];
  /** A cell per column; the first names the row. */
  readonly rows: readonly (readonly string[])[];
}

export interface Finding {
  readonly title: string;
  /** The result, in a sentence or two. */
  readonly text: string;
  readonly table?: Table;
  readonly figures?: readonly { readonly figure: Markup; readonly caption: string }[];
}

export interface Findings {
  readonly title: string;
  /** Conditions of the measurement: model, rows, seeds. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  readonly findings: readonly Finding[];
  /** The numbers, for programs. */
  readonly data: unknown;
}

/** Writes `study.json` and `study.html`. */
export async function writeFindings(out: string, { title, facts, findings, data }: Findings): Promise<void> {
  const sections = findings.map((finding, k) => ({
    id: `finding-${k + 1}`,
    name: finding.title,
    body: sectionOf(finding, k + 1),
  }));
  const top = html`<h1>${title}</h1><p class="meta">${facts.map(([name, value]) => html`<span>${name} <b>${value}</b></span>`)}</p>`;
  const footer = "The same numbers are in study.json beside this page.";
  await writeAtomically(join(out, "study.html"), pageOf({ title, top, sections, footer, data: {} }));
  await writeAtomically(
    join(out, "study.json"),
    `${JSON.stringify({ title, facts: Object.fromEntries(facts), data }, null, 1)}\n`,
  );
}

function sectionOf({ title, text, table, figures = [] }: Finding, number: number): Markup {
  const drawn = figures.map(
    ({ figure, caption }) => html`<figure>${figure}<figcaption>${caption}</figcaption></figure>`,
  );
  return html`<section id="finding-${number}"><h2>${title}</h2><p class="lead">${text}</p>
<div class="row block-row">${drawn}</div>${table !== undefined && tableOf(table, title)}</section>`;
}

function tableOf({ head, rows }: Table, label: string): Markup {
  const cells = (row: readonly string[]) =>
    row.map((cell, column) => (column === 0 ? html`<td class="name">${cell}</td>` : html`<td>${cell}</td>`));
  return html`<div class="scroll" tabindex="0" role="group" aria-label="${label}"><table><thead><tr>${head.map((cell) => html`<th>${cell}</th>`)}</tr></thead>
<tbody>${rows.map((row) => html`<tr>${cells(row)}</tr>`)}</tbody></table></div>`;
}

/** The findings as text for a terminal. */
export function findingsText({ title, facts, findings }: Findings): string {
  const parts = findings.map(({ title: name, text, table }) => {
    const lines =
      table === undefined ? [] : aligned([table.head, ...table.rows]).map((row) => `  ${row.join("  ").trimEnd()}`);
    return [name, `  ${text}`, ...lines].join("\n");
  });
  return [title, facts.map(([name, value]) => `${name} ${value}`).join(", "), ...parts].join("\n\n");
}
