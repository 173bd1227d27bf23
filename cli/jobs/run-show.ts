/** The job of `kindred run show`: the condition of a run, by its events. It reads beside a coordinator at work. */
import { readEvents } from "../../coordinator/events/events.js";
import { type RunSummary, summarizeRun } from "../../coordinator/events/summary.js";
import { stateInUse } from "../../coordinator/storage/open.js";
import { bytes, count, counted, duration, flops, loss, percent } from "../../shared/base/format.js";
import { localTime } from "../../shared/base/local-time.js";
import { factsOf, oneLine } from "../../shared/base/terminal.js";
import { findRun } from "./read-run.js";

export interface RunCondition extends Omit<RunSummary, "status"> {
  /** `paused`: the coordinator waits until its own state can be written. `interrupted`: no process is at work on the run, and the last one ended without a word. It can be resumed. */
  readonly status: RunSummary["status"] | "paused" | "interrupted";
  /** SHA-256 of the base model, which all clients have; null before a client enrolled. */
  readonly modelHash: string | null;
}

/** @throws {KindredError} `not_found` where there is no run */
export async function runCondition(run: string): Promise<RunCondition> {
  const { place, state } = await findRun(run);
  try {
    const [client] = await state.records.clients();
    // Asked before the events are read: a run that ends in between has told its end.
    const inUse = await stateInUse(place);
    const summary = await summarizeRun(readEvents(state.records));
    const { status } = summary;
    const open = status === "running" || status === "waiting";
    // On a full disk its coordinator could not store that it waits.
    const paused = summary.paused !== null || (open && !(await state.hasRoom()));
    const shown = !open ? status : !inUse ? "interrupted" : paused ? "paused" : status;
    return { ...summary, status: shown, modelHash: client?.identity.modelHash ?? null };
  } finally {
    await state.close();
  }
}

const NAMES_SHOWN = 20;

/** Lines of a list, the first ones where it is long. */
const listed = <T>(items: readonly T[], line: (item: T) => string): string[] => [
  ...items.slice(0, NAMES_SHOWN).map((item) => `  ${line(item)}`),
  ...(items.length > NAMES_SHOWN ? [`  and ${count(items.length - NAMES_SHOWN)} more (--json has all)`] : []),
];

const STATUS: Readonly<Record<RunCondition["status"], string>> = {
  waiting: "waits for clients",
  running: "under way",
  paused: "waits for its own state",
  interrupted: "interrupted: its process has ended without a word; the command that started it resumes it",
  stopped: "stopped; the command that started it resumes it",
  finished: "finished",
};

/** The condition for people. */
export function conditionText(condition: RunCondition): string {
  const { status, model, modelHash, firstAt, lastAt, events, cost, groupsReason, pauses } = condition;
  const times =
    firstAt === null || lastAt === null
      ? "no events yet"
      : `began ${localTime(firstAt)}, last event (${events}) ${localTime(lastAt)}, ${duration((lastAt - firstAt) / 1000)} later`;
  return [
    `run: ${STATUS[status]}${statusReason(condition)}`,
    times,
    ...(pauses.count === 0
      ? []
      : [`pauses: ${count(pauses.count)}, ${duration(pauses.seconds)} in all, for trouble of the coordinator's own`]),
    `model: ${model ?? "not named"}${modelHash === null ? "" : `, sha256 ${modelHash}`}`,
    ...clientLines(condition),
    ...progressLines(condition),
    ...groupLines(condition),
    ...(groupsReason === null ? [] : [`  ${groupsReason}`]),
    `cost so far: ${counted(cost.tasksDone, "task")} done, ${count(cost.tasksFailed)} failed; ${bytes(cost.bytesUp)} up, ${bytes(cost.bytesDown)} down; ${flops(cost.flops)}`,
    ...scoreLines(condition),
    ...faultLines(condition),
  ]
    .map((line) => `${/^ */.exec(line)?.[0]}${oneLine(line)}`)
    .join("\n");
}

function statusReason({ status, stopped, paused }: RunCondition): string {
  if (stopped !== null) return stopped.message === "stopped" ? "" : ` (${stopped.message})`;
  if (status !== "paused") return "";
  return ` (${paused?.message ?? "its disk has no room left; free space, and it goes on"})`;
}

function clientLines({ clients }: RunCondition): string[] {
  const serving = clients.filter(({ inRun }) => inRun).length;
  const enrolled = clients.filter((client) => client.enrolled).length;
  return [
    `clients: ${count(clients.length)}, ${count(serving)} in the run, ${count(enrolled)} enrolled`,
    ...listed(clients, ({ name, rows, enrolled, inRun }) => {
      const counts =
        rows === null
          ? "rows unknown"
          : `${rows.train} training, ${rows.validation} validation, ${rows.test} test rows`;
      return `${name}: ${counts}${enrolled ? "" : ", left"}${inRun ? "" : ", not in the run"}`;
    }),
  ];
}

function progressLines({ stages, trainings, learningRates }: RunCondition): string[] {
  const rates = Object.entries(learningRates).map(([subject, rate]) => `learning rate of ${subject}: ${rate}`);
  const rounds = listed(trainings, ({ training, round, of, validationLoss }) => {
    const value = validationLoss === null ? "" : `, validation loss ${loss(validationLoss)} nats`;
    return `${training}: ${round} of ${of}${value}`;
  });
  return [
    ...stages.map(({ stage, done, total, info }) =>
      [`stage: ${stage}`, ...(total > 0 ? [`${percent(done / total, 0)} %`] : []), ...factsOf(info)].join(", "),
    ),
    ...rates,
    ...(rounds.length === 0 ? [] : ["rounds:", ...rounds]),
  ];
}

const groupLines = ({ groups }: RunCondition): string[] =>
  groups === null
    ? ["groups: not found yet"]
    : [
        `groups: ${count(groups.length)}`,
        ...listed(
          groups.map((group, at) => [at, group] as const),
          ([at, group]) => `group ${at + 1}: ${group.join(", ")}`,
        ),
      ];

const scoreLines = ({ scores }: RunCondition): string[] =>
  scores.map(
    ({ method, clients, loss: mean, accuracy }) =>
      `test of ${method}: loss ${loss(mean)} nats${accuracy === null ? "" : `, accuracy ${percent(accuracy)} %`}, mean over ${counted(clients, "client")}`,
  );

const faultLines = ({ faults }: RunCondition): string[] =>
  faults.length === 0
    ? ["faults: 0"]
    : [
        `faults: ${count(faults.length)}`,
        ...listed(faults, ({ client, stage, message }) => `${client} in ${stage}: ${message}`),
      ];
