/** The last words of long commands: what came of the run, where the result is, and what to run next. */
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { RunOutcome } from "../../coordinator/open-run.js";
import { counted, loss, percent } from "../../shared/base/format.js";
import { oneLine, shellWord } from "../../shared/base/terminal.js";

const commandLine = (...words: readonly string[]): string => ["kindred", ...words].map(shellWord).join(" ");

const lines = (...texts: readonly string[]): string => texts.map(oneLine).join("\n");

/** Where a simulation's report is. @param out the folder as the user named it. @param absolute the same, absolute */
export function reportEnding(out: string, absolute: string): string {
  return lines(
    `report: ${join(out, "report.html")}`,
    `open it in a browser: ${pathToFileURL(join(absolute, "report.html")).href}`,
    `get the adapters: ${commandLine("export", out, "--out", `${out.replace(/[\\/]+$/, "")}-export`)}`,
  );
}

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/** @param state as the user named it. @param summary file of the result, where the state is a folder */
export function coordinatorEnding(outcome: RunOutcome, state: string, summary: string | undefined): string {
  const scores = [...outcome.methods].map(([method, byClient]) => {
    const all = [...byClient.values()];
    const chosen = all.filter(({ choiceRows }) => choiceRows > 0);
    const accuracy = mean(chosen.map(({ correct, choiceRows }) => correct / choiceRows));
    const found = chosen.length > 0 ? ` and accuracy ${percent(accuracy)} %` : "";
    return `${method}: mean test loss ${loss(mean(all.map(({ nllSum, tokens }) => nllSum / tokens)))}${found}`;
  });
  const { clients, groups, members, faults } = outcome;
  const whom = `${counted(clients.length, "client")} in ${counted(groups.length, "group")}`;
  return lines(
    `the run is complete: ${whom}, ${counted(members.length, "adapter")}`,
    ...scores,
    ...(faults.length === 0
      ? []
      : [`${counted(faults.length, "fault")}, each of a single client: ${commandLine("run", "show", state)}`]),
    ...(summary === undefined ? [] : [`result: ${summary}`]),
    `look at the run: ${commandLine("run", "show", state)}`,
    `get the adapters: ${commandLine("export", state, "--out", "DIR")}`,
  );
}

export interface ClientPlace {
  readonly name: string;
  readonly model: string;
  /** As the user named it. */
  readonly state?: string | undefined;
  /** Words of the client's command line without which other rows would be read in another form. @default none */
  readonly format?: readonly string[];
}

/** @param adapters of the client's ensemble; undefined where it has none */
export function clientEnding(adapters: number | undefined, { name, model, state, format = [] }: ClientPlace): string {
  if (adapters === undefined) return lines("the run is complete, without an ensemble for this client");
  const what = `the run is complete: ${name} has an ensemble of ${counted(adapters, "adapter")}`;
  if (state === undefined) return lines(`${what}, which was not kept: --state was not given`);
  const folder = join(state, "ensemble");
  const words = ["--model", model, "--ensemble", folder, "--client", name, "--data", "ROWS.jsonl", ...format];
  return lines(what, `ensemble: ${folder}`, `answer rows with it: ${commandLine("predict", ...words)}`);
}
