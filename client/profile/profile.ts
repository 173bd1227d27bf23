/**
 * `kindred profile`: the cost of a model with adapters on this machine. Each measurement has a process of its own, so that peak memory
 * is its own, and a measurement that does not fit into memory ends no other.
 */
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError, throwIfAborted } from "../../shared/base/errors.js";
import { bytes, count, counted, fixed, significant } from "../../shared/base/format.js";
import { aligned, type Paint, sgr } from "../../shared/base/terminal.js";
import { describeMachine, type Machine } from "../doctor/machine.js";
import { openBaseModel } from "../models/base.js";
import { fetchModel } from "../models/open.js";
import type { Answer } from "./child.js";
import { type Measured, openAdapter } from "./measure.js";
import type { Setting, Work } from "./work.js";

export interface ProfileJob extends Setting {
  /** Numbers of adapters in one pass; one measurement per number. */
  readonly members: readonly number[];
}

/** A measurement, or the reason why there is none. */
export type Measurement = Work & (Measured | { readonly why: string });

export interface Profile extends Omit<ProfileJob, "members"> {
  readonly machine: Machine;
  readonly parameters: number;
  readonly adapted: { readonly linears: number; readonly parameters: number; readonly rank: number };
  readonly measurements: readonly Measurement[];
}

/** Characters that are kept of a process's stderr. */
const MAX_STDERR = 2000;

/**
 * Measures all works of a job.
 * @throws {KindredError} what the model and the adapter throw, `invalid_option` for a batch that does not fit the model,
 *   `task_failed` where nothing could be measured
 */
export async function profile({ members, ...job }: ProfileJob, context: JobContext): Promise<Profile> {
  const { progress, signal, log } = context;
  const setting: Setting = { ...job, model: await fetchModel(job.model, context) };
  // Opened here first: a mistake is reported once, and weights are converted before any measurement.
  const { architecture, parameters } = await openBaseModel(setting.model, { quantization: setting.quantization });
  const { tokens } = setting.batch;
  if (tokens > architecture.context) {
    throw new KindredError("invalid_option", `--tokens is ${tokens}; the model reads at most ${architecture.context}`);
  }
  const { layout } = await openAdapter(architecture, setting);
  const works: Work[] = [
    ...members.map((count): Work => ({ kind: "forward", members: count })),
    { kind: "train" },
    { kind: "sketch" },
  ];
  const stage = progress.stage("measure", works.length);
  const measurements: Measurement[] = [];
  for (const work of works) {
    const answer = await measureInProcess(setting, work, signal);
    throwIfAborted(signal);
    const measurement = { ...work, ...("measured" in answer ? answer.measured : answer) };
    measurements.push(measurement);
    if ("why" in measurement) log.warn("not measured", { work: nameOf(work), why: measurement.why });
    stage.tick(1, { work: nameOf(work) });
  }
  stage.done();
  const [first] = measurements;
  if (first !== undefined && measurements.every((each) => "why" in each)) {
    throw new KindredError("task_failed", `nothing could be measured: ${"why" in first ? first.why : ""}`);
  }
  const { rank } = layout.spec;
  return {
    ...job,
    machine: describeMachine(),
    parameters,
    adapted: { linears: layout.linears.length, parameters: layout.frozenSize + layout.trainedSize, rank },
    measurements,
  };
}

/** One measurement in a process of its own. Never throws: any end of the process is an answer. */
function measureInProcess(setting: Setting, work: Work, signal: AbortSignal): Promise<Answer> {
  return new Promise((done) => {
    const child = fork(fileURLToPath(new URL("./child.js", import.meta.url)), [JSON.stringify({ setting, work })], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      killSignal: "SIGKILL",
      signal,
    });
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr = (stderr + chunk.toString("utf8")).slice(-MAX_STDERR);
    });
    let answer: Answer | undefined;
    child.on("message", (message) => {
      answer = message as Answer;
      child.kill("SIGKILL");
    });
    child.on("error", (error) => {
      // A process that was killed by a stop is waited for (`close`), so that none is left.
      if (child.pid === undefined) done({ why: `its process did not start (${error.message})` });
    });
    child.on("close", (code, killed) => {
      const how =
        killed === "SIGKILL"
          ? "its process was killed, perhaps for lack of memory"
          : `its process ended with ${killed ?? `code ${code}`}`;
      const last = stderr.trim().split("\n").at(-1) ?? "";
      done(answer ?? { why: last === "" ? how : `${how}: ${last}` });
    });
  });
}

function nameOf(work: Work): string {
  switch (work.kind) {
    case "forward":
      return `forward, ${counted(work.members, "adapter")}`;
    case "train":
      return "training step";
    case "sketch":
      return "sketching";
  }
}

/** The profile as text. @param color whether escape sequences may be written */
export function profileText(profile: Profile, { color }: { readonly color: boolean }): string {
  const { machine, model, quantization, parameters, adapted, batch, measurements } = profile;
  const [bold, faint] = [color ? sgr("1") : same, color ? sgr("2") : same];
  const alone = measurements.find((each) => each.kind === "forward" && each.members === 1);
  const rows = measurements.map((each) => {
    if ("why" in each) return [nameOf(each)];
    const { flops, seconds, tokensPerSecond, peakRssBytes } = each;
    const passes = each.kind === "forward" && alone !== undefined && "seconds" in alone;
    return [
      nameOf(each),
      significant(flops.counted / 1e9),
      `${significant(100 * (flops.analytic / flops.counted - 1), 2)} %`,
      significant(seconds),
      significant(flops.counted / seconds / 1e9),
      significant(tokensPerSecond),
      passes ? `${fixed((each.members * alone.seconds) / seconds, 2)} x` : "",
      bytes(peakRssBytes),
    ];
  });
  const head = ["", "GFLOP", "formula", "seconds", "GFLOP/s", "tokens/s", "one by one", "peak memory"];
  const [first = [], ...cells] = aligned([head, ...rows]);
  const computed = measurements.find((each) => "runtime" in each);
  const form = quantization === "none" ? "" : `, linears in ${quantization}`;
  const missing = measurements.flatMap((each) => ("why" in each ? [`${nameOf(each)}: not measured, ${each.why}`] : []));
  return [
    bold(`${model}: ${count(parameters)} parameters${form}`),
    `adapter of rank ${adapted.rank} on ${counted(adapted.linears, "linear")}: ${count(adapted.parameters)} parameters`,
    `batch of ${counted(batch.rows, "row")} of ${counted(batch.tokens, "token")}, ${batch.scored} of each scored`,
    faint(
      `${computed === undefined ? "" : `${computed.runtime}, `}${machine.platform} ${machine.arch}, ${counted(machine.processors, "processor")}, ${bytes(machine.memoryBytes)} of memory`,
    ),
    "",
    faint(first.join("  ").trimEnd()),
    ...cells.map((row) => row.join("  ").trimEnd()),
    ...(missing.length > 0 ? ["", ...missing] : []),
    "",
    faint("formula: operations by analysis of the sizes, relative to the count from the graphs"),
    faint("one by one: time of as many passes of one adapter, relative to the time of the one pass"),
  ].join("\n");
}

const same: Paint = (text) => text;
