#!/usr/bin/env node
/**
 * The one command line: words into options, options into a job. Results go to stdout, all else to stderr; how a process
 * behaves and ends is in shared/base/process.ts. Jobs are imported when they are asked for, so that a mistake costs no
 * start-up time.
 */
import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Argument, Command, CommanderError, InvalidArgumentError, Option } from "commander";
import { METHODS } from "./coordinator/stages/methods.js";
import { asset } from "./shared/base/assets.js";
import { parseBytes } from "./shared/base/bytes.js";
import { KindredError } from "./shared/base/errors.js";
import { type OutputOptions, printResult, reportError, runJob, stopCode, wantsColour } from "./shared/base/process.js";
import { BALANCES, DESIGNS } from "./shared/config/enumerations.js";
import { QUANTIZATIONS, type Quantization } from "./shared/quantization/layout.js";
import {
  DEFAULT_RUNTIME,
  DEVICES,
  type Device,
  RUNTIME_KINDS,
  type RuntimeChoice,
  type RuntimeKind,
} from "./shared/runtimes/types.js";
import type { Report } from "./simulations/report/types.js";

function integer(min: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= min) return value;
    throw new InvalidArgumentError(`It must be a whole number of at least ${min}.`);
  };
}

/** A list of whole numbers: "1,2,4". */
function integers(min: number): (text: string) => number[] {
  return (text) => {
    const values = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
    if (values.every((value) => Number.isSafeInteger(value) && value >= min)) return values;
    throw new InvalidArgumentError(`It must be whole numbers of at least ${min}, separated by commas: 1,2,4.`);
  };
}

function number(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = text.trim() === "" ? Number.NaN : Number(text);
    if (value >= min && value <= max) return value;
    throw new InvalidArgumentError(
      max === Number.MAX_VALUE
        ? `It must be a number of at least ${min}.`
        : `It must be a number from ${min} to ${max}.`,
    );
  };
}

function share(text: string): number {
  const value = Number(text);
  if (value > 0 && value <= 1) return value;
  throw new InvalidArgumentError("It must be above 0 and at most 1.");
}

/** A list of numbers above 0: "3e-3,3e-4". */
function positives(text: string): number[] {
  const values = text.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
  if (values.every((value) => Number.isFinite(value) && value > 0)) return values;
  throw new InvalidArgumentError("It must be numbers above 0, separated by commas: 3e-3,3e-4.");
}

const names = (text: string): string[] => text.split(",").map((name) => name.trim());

/** Lists of names, one each time the option is given. */
const gathered = (text: string, before: readonly string[][] = []): string[][] => [...before, names(text)];

/** Values, one each time the option is given. */
const collected = (text: string, before: readonly string[] = []): string[] => [...before, text];

function choiceMap(text: string): Record<string, string> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    // Reported below, with what it should be.
  }
  const sound =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((completion) => typeof completion === "string");
  if (!sound) throw new InvalidArgumentError(`It must be a JSON object like {"0": " no", "1": " yes"}.`);
  return value as Record<string, string>;
}

/** What `evaluate` prints, as the contract has it. */
interface Evaluation {
  readonly examples: number;
  readonly tokens: number;
  readonly loss: number;
  readonly accuracy: number | null;
  readonly macroF1: number | null;
}

/** What `sharpness` prints. */
interface Sharpness {
  readonly loss: number;
  readonly parameters: number;
  readonly trace: { readonly mean: number; readonly standardError: number; readonly probes: number };
  readonly largest: { readonly eigenvalue: number; readonly residual: number; readonly steps: number };
}

/** A row of what `predict` gives. */
type Predicted =
  | {
      readonly row: string;
      readonly predicted: string;
      readonly right?: boolean;
      readonly choices: readonly { readonly completion: string; readonly probability: number }[];
    }
  | { readonly row: string; readonly text: string };

interface FormatOptions {
  readonly template?: string;
  readonly choices?: Record<string, string>;
  readonly label?: string;
}

interface TlsOptions {
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
  readonly tls?: boolean;
  readonly insecure?: boolean;
}

interface RuntimeOptions {
  readonly runtime?: RuntimeKind;
  readonly device?: Device;
  readonly threads?: number;
  readonly memory?: number;
}

interface RowsOptions extends FormatOptions, RuntimeOptions {
  readonly model: string;
  readonly quantization: Quantization | "none";
  readonly data: string;
  readonly maxTokens: number;
}

/** A command with the options that all have. */
function command(program: Command, words: string, description: string): Command {
  return program
    .command(words)
    .description(description)
    .option("--debug", "show details and stack traces")
    .option("--quiet", "no progress, and no log but errors");
}

const quantizationOption = () =>
  new Option("--quantization <kind>", "form of the base model's linears")
    .choices(["none", ...QUANTIZATIONS])
    .default("none");
const jsonOption = () => new Option("--json", "print the result as one JSON document");
const forceOption = () => new Option("--force", "replace what is there");

const formatOptions = (to: Command): Command =>
  to
    .option("--template <text>", "prompt of rows that are objects, fields in braces: 'Text: {text} Answer:'")
    .option("--choices <json>", `completion of each label: '{"0": " no", "1": " yes"}'`, choiceMap)
    .option("--label <field>", "field that holds the label");

const engineOptions = (to: Command): Command =>
  to
    .addOption(new Option("--runtime <name>", "what executes the graphs").choices(RUNTIME_KINDS))
    .addOption(new Option("--device <name>", "what it computes on").choices(DEVICES))
    .option("--threads <n>", "threads of a matrix product", integer(1));

const runtimeOptions = (to: Command): Command =>
  engineOptions(to).option("--memory <size>", "most memory of the process, as 8GiB: batches are cut to fit", (size) =>
    parseBytes(size, "--memory"),
  );

/** What the commands on a file of rows ask for. @param longest what `--max-tokens` counts */
const rowsOptions = (to: Command, longest = "longest row in tokens"): Command =>
  runtimeOptions(formatOptions(to))
    .requiredOption("--model <dir>", "folder of the model, a GGUF file, or its id on the hub")
    .addOption(quantizationOption())
    .requiredOption("--data <file>", "rows: .jsonl, .jsonl.gz or .csv")
    .option("--max-tokens <n>", longest, integer(2), 512)
    .addOption(jsonOption());

const tlsOptions = (to: Command): Command =>
  to
    .option("--ca <pem>", "authorities to trust")
    .option("--cert <pem>", "certificate chain of this side")
    .option("--key <pem>", "private key of the certificate")
    .option("--insecure", "permit plain text off the loopback");

const screen = () => ({ color: wantsColour(process.stdout), width: process.stdout.columns ?? 80 });

const formatOf = ({ template, choices, label }: FormatOptions) => ({
  ...(template === undefined ? {} : { template }),
  ...(choices === undefined ? {} : { choices }),
  ...(label === undefined ? {} : { label }),
});

/** The choice that was made, over one that holds otherwise. */
const runtimeOf = (
  { runtime, device, threads, memory }: RuntimeOptions,
  otherwise: RuntimeChoice = DEFAULT_RUNTIME,
): RuntimeChoice => ({
  kind: runtime ?? otherwise.kind,
  device: device ?? otherwise.device,
  threads: threads ?? otherwise.threads,
  ...(memory === undefined ? {} : { memory }),
});

interface RunOptions extends RuntimeOptions {
  readonly out: string;
  readonly force?: boolean;
}

/** The plan in a simulation's file, on the runtime that was asked for, and where its results go within which memory. */
async function simulationOf(config: string, options: RunOptions) {
  const { loadSimulationConfig } = await import("./shared/config/config.js");
  const read = await loadSimulationConfig(config);
  const { memory, ...runtime } = runtimeOf(options, read.runtime);
  const place = {
    out: resolve(options.out),
    force: options.force === true,
    ...(memory === undefined ? {} : { memory }),
  };
  return { plan: { ...read, runtime }, place };
}

/** What `rowsOptions` were given, as a job takes it. */
async function rowsOf(options: RowsOptions) {
  const { resolveModel } = await import("./shared/config/config.js");
  const { data, maxTokens, quantization } = options;
  const model = resolveModel(options.model, process.cwd(), "--model");
  return { model, quantization, data, maxTokens, format: formatOf(options), runtime: runtimeOf(options) };
}

/** What answers: an adapter, or one client's part in an ensemble. */
function tunedOf(options: { adapter?: string; ensemble?: string; client?: string }) {
  const { adapter, ensemble, client } = options;
  if (adapter !== undefined && (ensemble ?? client) !== undefined) {
    throw new KindredError(
      "invalid_option",
      "--adapter excludes --ensemble and --client: an ensemble has its own adapters",
    );
  }
  if ((ensemble === undefined) !== (client === undefined)) {
    throw new KindredError("invalid_option", "--ensemble and --client go together: each client has weights of its own");
  }
  if (adapter !== undefined) return { tuned: { adapter } };
  return ensemble !== undefined && client !== undefined ? { tuned: { ensemble, client } } : {};
}

const securityOf = ({ ca, cert, key, tls, insecure }: TlsOptions) => ({
  ...(ca === undefined ? {} : { ca }),
  ...(cert === undefined ? {} : { cert }),
  ...(key === undefined ? {} : { key }),
  tls: tls === true,
  insecure: insecure === true,
});

/** An answer on one line. */
function shown(answer: Predicted): string {
  if ("text" in answer) return `${answer.row}: ${JSON.stringify(answer.text)}`;
  const { row, predicted, right, choices } = answer;
  const probability = choices.find(({ completion }) => completion === predicted)?.probability ?? 0;
  const verdict = right === undefined ? "" : right ? ", right" : ", wrong";
  return `${row}: ${JSON.stringify(predicted)} (${(100 * probability).toFixed(1)} %${verdict})`;
}

/** A whole run on this machine, and what is made of it. */
function runCommands(program: Command): void {
  runtimeOptions(command(program, "simulate <config>", "run the whole method on a population, on this machine"))
    .requiredOption("--out <dir>", "folder of the run: report, state, adapters")
    .addOption(jsonOption())
    .addOption(forceOption())
    .action(async (config: string, options: OutputOptions & RunOptions) => {
      const { plan, place } = await simulationOf(config, options);
      const { runSimulation } = await import("./simulations/simulate.js");
      const { terminalReport } = await import("./simulations/report/terminal.js");
      const run = { ...place, source: config };
      const report = await runJob<Report>(options, (context) => runSimulation(plan, { ...run, ...context }), {
        resumes: true,
      });
      await printResult(report, options, () => terminalReport(report, screen()));
    });

  command(program, "demo", "run the embedded model on a generated population; under five minutes")
    .option("--seed <n>", "another population, another run", integer(0), 0)
    .option("--out <dir>", "folder of the run", "runs/demo")
    .addOption(jsonOption())
    .addOption(forceOption())
    .action(async (options: OutputOptions & { seed: number; out: string; force?: boolean }) => {
      const { runDemo } = await import("./simulations/demo/demo.js");
      const { terminalReport } = await import("./simulations/report/terminal.js");
      const out = resolve(options.out);
      // A demo is run to be seen: a finished one is run anew, an unfinished one resumed.
      const force = options.force === true || existsSync(join(out, "report.json"));
      const report = await runJob<Report>(
        options,
        (context) => runDemo({ seed: options.seed, out, force, ...context }),
        { resumes: true },
      );
      await printResult(report, options, () => terminalReport(report, screen()));
    });

  command(
    program,
    "export <run>",
    "write a run's adapters as folders of PEFT or AdapterHub, and the ensemble's weights",
  )
    .requiredOption("--out <dir>", "folder to write")
    .addOption(jsonOption())
    .addOption(forceOption())
    .action(async (run: string, options: OutputOptions & { out: string; force?: boolean }) => {
      const { exportRun } = await import("./coordinator/pipeline/export.js");
      const job = { run: resolve(run), out: resolve(options.out), force: options.force === true };
      const result = await runJob<{ members: readonly string[] }>(options, (context) => exportRun(job, context));
      await printResult(
        result,
        options,
        () => `${result.members.length} adapters and ensemble.json written to ${options.out}`,
      );
    });
}

/** A model, with an adapter or an ensemble, on a file of rows. */
function rowCommands(program: Command): void {
  rowsOptions(
    command(program, "evaluate", "loss, accuracy and macro-F1 of a model, with an adapter or without, on rows"),
  )
    .option("--adapter <dir>", "folder of an adapter, of PEFT or AdapterHub")
    .action(async (options: OutputOptions & RowsOptions & { adapter?: string }) => {
      const { adapter } = options;
      const job = { ...(await rowsOf(options)), ...(adapter === undefined ? {} : { adapter }) };
      const { evaluateFile } = await import("./client/tasks/evaluate.js");
      const result = await runJob<Evaluation>(options, (context) => evaluateFile(job, context));
      await printResult(result, options, () =>
        Object.entries(result)
          .map(([name, value]) => `${name.padEnd(9)} ${value ?? "none: no row has choices"}`)
          .join("\n"),
      );
    });

  rowsOptions(
    command(program, "predict", "answer rows: likelihoods of choices, or text"),
    "longest row in tokens, its answer included",
  )
    .option("--adapter <dir>", "folder of an adapter, of PEFT or AdapterHub")
    .option("--ensemble <export-dir>", "what kindred export wrote: answers by the weights of --client")
    .option("--client <name>", "whose weights")
    .option("--max-new-tokens <n>", "longest text that is written, in tokens", integer(1), 64)
    .option(
      "--temperature <t>",
      "0: the likeliest token each time; else tokens are drawn",
      number(0, Number.MAX_VALUE),
      0,
    )
    .option("--top-p <p>", "draw from the likeliest tokens that have this probability together", share, 1)
    .option("--top-k <n>", "draw from so many of the likeliest tokens; 0: from all", integer(0), 0)
    .option("--seed <n>", "draws the tokens", integer(0), 0)
    .option("--out <file>", "write the answers there, a JSON object a line")
    .action(
      async (
        options: OutputOptions &
          RowsOptions & {
            adapter?: string;
            ensemble?: string;
            client?: string;
            maxNewTokens: number;
            temperature: number;
            topP: number;
            topK: number;
            seed: number;
            out?: string;
          },
      ) => {
        const { maxNewTokens, temperature, topP, topK, seed, out } = options;
        const tuned = tunedOf(options);
        const sampling = { temperature, topP, topK };
        const job = { ...(await rowsOf(options)), maxNewTokens, sampling, seed, ...tuned };
        const { predict } = await import("./client/tasks/predict.js");
        const rows = await runJob<readonly Predicted[]>(options, (context) => predict(job, context));
        if (out === undefined) return await printResult(rows, options, () => rows.map(shown).join("\n"));
        const { writeAtomically } = await import("./shared/base/atomic.js");
        await writeAtomically(resolve(out), rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
        await printResult({ rows: rows.length, out }, options, () => `${rows.length} answers written to ${out}`);
      },
    );

  rowsOptions(command(program, "sharpness", "how sharp the loss is around an adapter: its Hessian's trace and top"))
    .requiredOption("--adapter <dir>", "folder of the adapter, of PEFT or AdapterHub")
    .option("--probes <n>", "random vectors of the trace's estimate", integer(2), 32)
    .option("--seed <n>", "draws the vectors", integer(0), 0)
    .action(async (options: OutputOptions & RowsOptions & { adapter: string; probes: number; seed: number }) => {
      const { adapter, probes, seed } = options;
      const job = { ...(await rowsOf(options)), adapter, probes, seed };
      const { sharpness } = await import("./client/tasks/sharpness.js");
      const result = await runJob<Sharpness>(options, (context) => sharpness(job, context));
      const { trace, largest, loss, parameters } = result;
      await printResult(result, options, () =>
        [
          `loss                ${loss.toFixed(4)} nats a scored token`,
          `trace               ${trace.mean.toPrecision(4)} ± ${trace.standardError.toPrecision(2)} (${trace.probes} probes, ${parameters} parameters)`,
          `largest eigenvalue  ${largest.eigenvalue.toPrecision(4)} ± ${largest.residual.toPrecision(2)}`,
        ].join("\n"),
      );
    });
}

/** The two sides of a federation. */
function federationCommands(program: Command): void {
  tlsOptions(command(program, "coordinator", "serve a federation: enrol clients, group them, train their adapters"))
    .requiredOption("--config <file>", "options; minClients is needed")
    .requiredOption("--listen <host:port>", "address to listen on")
    .requiredOption("--state <dir>", "folder of the state, from which a killed coordinator resumes")
    .action(async (options: OutputOptions & TlsOptions & { config: string; listen: string; state: string }) => {
      const { loadCoordinatorConfig } = await import("./shared/config/config.js");
      const plan = await loadCoordinatorConfig(options.config);
      const { runCoordinator } = await import("./coordinator/coordinator.js");
      const job = { listen: options.listen, state: resolve(options.state), security: securityOf(options) };
      await runJob<void>(options, (context) => runCoordinator(plan, job, context), { resumes: true });
    });

  runtimeOptions(
    formatOptions(tlsOptions(command(program, "client", "take part in a federation with the data of one client"))),
  )
    .requiredOption("--coordinator <host:port>", "address of the coordinator")
    .requiredOption("--model <dir>", "folder of the base model, a GGUF file, or its id on the hub")
    .addOption(quantizationOption())
    .requiredOption("--data <path>", "folder with train, validation and test files, or a file of rows")
    .requiredOption("--name <name>", "name of this client, unique in the federation")
    .option("--state <dir>", "folder to resume from after an end")
    .option("--tls", "TLS with the system's authorities")
    .option("--seed <n>", "draws the splits that the data lacks", integer(0), 0)
    .option("--max-tokens <n>", "longest row in tokens", integer(2), 512)
    .action(
      async (
        options: OutputOptions &
          FormatOptions &
          RuntimeOptions &
          TlsOptions & {
            coordinator: string;
            model: string;
            quantization: Quantization | "none";
            data: string;
            name: string;
            state?: string;
            seed: number;
            maxTokens: number;
          },
      ) => {
        const { resolveModel } = await import("./shared/config/config.js");
        const model = resolveModel(options.model, process.cwd(), "--model");
        const { runClient } = await import("./client/client.js");
        const { coordinator, name, seed, state, maxTokens, quantization } = options;
        const job = {
          coordinator,
          name,
          seed,
          model,
          quantization,
          maxTokens,
          data: resolve(options.data),
          format: formatOf(options),
          runtime: runtimeOf(options),
          security: securityOf(options),
          ...(state === undefined ? {} : { state: resolve(state) }),
        };
        await runJob<void>(options, (context) => runClient(job, context), { resumes: true });
      },
    );
}

/** The stages of a run one by one, from files to files. */
function stageCommands(program: Command): void {
  runtimeOptions(command(program, "gradients <config>", "first stage by itself: sketches of a population, as files"))
    .requiredOption("--out <dir>", "folder of the sketches; those that are there and fit are kept")
    .addOption(jsonOption())
    .addOption(forceOption())
    .action(async (config: string, options: OutputOptions & RunOptions) => {
      const { plan, place } = await simulationOf(config, options);
      const { sketchPopulation } = await import("./simulations/population/gradients.js");
      const result = await runJob(options, (context) => sketchPopulation(plan, place, context), { resumes: true });
      const { clients, kept, leftOut } = result;
      await printResult(
        result,
        options,
        () =>
          `${clients.length} clients' sketches in ${options.out}, ${kept} of them from before${leftOut.length > 0 ? `; ${leftOut.length} left out` : ""}`,
      );
    });

  engineOptions(
    command(program, "estimate <sketches>", "second stage by itself: from sketches to affinities, as files"),
  )
    .requiredOption("--out <dir>", "folder of the estimate")
    .option("--subsets <n>", "subsets of clients whose joint training is estimated (default: chosen)", integer(1))
    .option(
      "--subset-size <n>",
      "clients a subset (default: the root of their number, or by --standard-error)",
      integer(2),
    )
    .option(
      "--standard-error <nats>",
      "size and number of subsets: the smallest, added until the affinities are known to this",
      number(1e-9, 1e9),
    )
    .addOption(new Option("--design <name>", "how subsets are drawn").choices(DESIGNS).default("balanced"))
    .addOption(new Option("--balance <name>", "what a client counts for").choices(BALANCES).default("none"))
    .option("--lambda <list>", "ridge penalty, or a path of them: 3e-3,3e-4 (default: a path)", positives)
    .option("--seed <n>", "draws the subsets (default: that of the sketches)", integer(0))
    .addOption(jsonOption())
    .addOption(forceOption())
    .action(
      async (
        sketches: string,
        options: OutputOptions &
          RuntimeOptions & {
            out: string;
            subsets?: number;
            subsetSize?: number;
            standardError?: number;
            design: (typeof DESIGNS)[number];
            balance: (typeof BALANCES)[number];
            lambda?: number[];
            seed?: number;
            force?: boolean;
          },
      ) => {
        const { subsets, subsetSize, standardError, design, balance, lambda, seed } = options;
        const { estimateFiles } = await import("./coordinator/stages/estimate.js");
        const job = {
          sketches: resolve(sketches),
          out: resolve(options.out),
          force: options.force === true,
          settings: {
            subsets: subsets ?? ("auto" as const),
            subsetSize: subsetSize ?? ("auto" as const),
            standardError: standardError ?? ("auto" as const),
            lambda: lambda ?? ("auto" as const),
            design,
            balance,
          },
          seed,
          runtime: runtimeOf(options),
        };
        const result = await runJob(options, (context) => estimateFiles(job, context));
        const { clients, facts, cost } = result;
        await printResult(
          result,
          options,
          () =>
            `affinities of ${clients.length} clients from ${facts.subsets} subsets of ${facts.subsetSize} in ${options.out}, standard error ${facts.standardError?.toPrecision(2) ?? "unknown"} nats, ${cost.seconds.toFixed(1)} s`,
        );
      },
    );

  engineOptions(
    command(
      program,
      "group <affinity>",
      "third stage by itself: groups from an affinity matrix, or an estimate's folder",
    ),
  )
    .requiredOption("--out <file>", "groups, as JSON")
    .option("--sketches <dir>", "their sketches: the estimator judges the partitions, as in a run")
    .addOption(
      new Option("--method <name>", "kindred: by the estimator where sketches are given, else by the relaxation")
        .choices(METHODS)
        .default("kindred"),
    )
    .option("--groups <n>", "number of groups (default: judged by the estimator, or as --number says)", integer(1))
    .addOption(
      new Option("--number <way>", "how the number is found without the estimator: gap of the spectrum, path of lambda")
        .choices(["eigengap", "path"])
        .default("eigengap"),
    )
    .option("--min-size <n>", "fewest clients of a group", integer(1))
    .option("--max-size <n>", "most clients of a group", integer(1))
    .option("--together <names>", "clients that share a group: a,b; may be given again", gathered)
    .option("--apart <names>", "clients of which no two share a group: a,b; may be given again", gathered)
    .option("--seed <n>", "of the search (default: that of the estimate)", integer(0))
    .addOption(jsonOption())
    .addOption(forceOption())
    .action(
      async (
        affinity: string,
        options: OutputOptions &
          RuntimeOptions & {
            out: string;
            sketches?: string;
            method: (typeof METHODS)[number];
            groups?: number;
            number: "eigengap" | "path";
            minSize?: number;
            maxSize?: number;
            together?: string[][];
            apart?: string[][];
            seed?: number;
            force?: boolean;
          },
      ) => {
        const { sketches, method, groups, number: way, minSize, maxSize, together = [], apart = [], seed } = options;
        const { groupFiles } = await import("./coordinator/stages/group.js");
        const job = {
          affinity: resolve(affinity),
          ...(sketches === undefined ? {} : { sketches: resolve(sketches) }),
          out: resolve(options.out),
          force: options.force === true,
          groups: groups ?? ("auto" as const),
          method,
          number: way,
          constraints: { minSize, maxSize, together, apart },
          seed,
          runtime: runtimeOf(options),
        };
        const result = await runJob(options, (context) => groupFiles(job, context));
        await printResult(result, options, () =>
          [...result.groups.map((group, at) => `group ${at + 1}: ${group.join(", ")}`), result.reason].join("\n"),
        );
      },
    );

  engineOptions(command(program, "affinity", "why a client of a run is where it is, and what would change if it moved"))
    .addArgument(new Argument("<action>").choices(["explain"]))
    .argument("<run>", "folder of a simulation, or a coordinator's state")
    .argument("<client>", "whom to explain")
    .option("--without <name>", "what if this client left; may be given again", collected)
    .option("--with <name>", "what if this client joined the group; may be given again", collected)
    .addOption(jsonOption())
    .action(
      async (
        _: string,
        run: string,
        client: string,
        options: OutputOptions & RuntimeOptions & { without?: string[]; with?: string[] },
      ) => {
        const { explainRun } = await import("./coordinator/pipeline/explain.js");
        const { explanationText } = await import("./coordinator/stages/explanation.js");
        const { without = [], with: joined = [] } = options;
        const job = { run: resolve(run), client, without, joined, runtime: runtimeOf(options) };
        const result = await runJob(options, (context) => explainRun(job, context));
        await printResult(result, options, () => explanationText(result, screen()));
      },
    );
}

/** What this machine can do, and what it is told. */
function machineCommands(program: Command): void {
  engineOptions(
    command(program, "profile", "time, operations and peak memory: one pass for several adapters, a step, a sketch"),
  )
    .requiredOption("--model <dir>", "folder of the model, a GGUF file, or its id on the hub")
    .addOption(quantizationOption())
    .option("--adapter <peft-dir>", "PEFT folder of an adapter; a fresh one unless given")
    .option("--rank <n>", "rank of a fresh adapter (default: 16)", integer(1))
    .option("--modules <names>", "linears of a fresh adapter, by name: q_proj,v_proj (default: the attention's)", names)
    .option("--members <list>", "numbers of adapters to run in one pass", integers(1), [1, 2, 4, 8])
    .option("--batch <n>", "rows", integer(1), 8)
    .option("--tokens <n>", "tokens of a row", integer(1), 64)
    .option("--scored <n>", "how many of a row's last tokens are scored, as an answer's are (default: 8)", integer(1))
    .addOption(jsonOption())
    .action(
      async (
        options: OutputOptions &
          RuntimeOptions & {
            model: string;
            quantization: Quantization | "none";
            adapter?: string;
            rank?: number;
            modules?: string[];
            members: number[];
            batch: number;
            tokens: number;
            scored?: number;
          },
      ) => {
        const { adapter, rank, modules, members, batch: rows, tokens, quantization } = options;
        const { scored = Math.min(8, tokens) } = options;
        if (adapter !== undefined && (rank ?? modules) !== undefined) {
          throw new KindredError("invalid_option", "--adapter excludes --rank and --modules: it has its own");
        }
        if (scored > tokens) {
          throw new KindredError("invalid_option", `--scored is ${scored}; of ${tokens} --tokens at most all are`);
        }
        const { resolveModel } = await import("./shared/config/config.js");
        const { profile, profileText } = await import("./client/profile/profile.js");
        const job = {
          model: resolveModel(options.model, process.cwd(), "--model"),
          quantization,
          adapter: adapter === undefined ? { rank: rank ?? 16, modules: modules ?? [] } : { folder: resolve(adapter) },
          members,
          batch: { rows, tokens, scored },
          runtime: runtimeOf(options),
        };
        const result = await runJob(options, (context) => profile(job, context));
        await printResult(result, options, () => profileText(result, screen()));
      },
    );

  command(program, "doctor", "which runtimes and GPUs work here: a small training step on each, its numbers compared")
    .addOption(jsonOption())
    .action(async (options: OutputOptions) => {
      const { diagnose, diagnosisText, anythingWorks } = await import("./client/doctor/doctor.js");
      const diagnosis = await runJob(options, (context) => diagnose(context));
      await printResult(diagnosis, options, () => diagnosisText(diagnosis));
      if (!anythingWorks(diagnosis)) throw new KindredError("unavailable", "no runtime works on this machine");
    });

  command(program, "runtime", "add what npm does not bring: the CUDA provider, TensorFlow for tfjs")
    .addArgument(new Argument("<action>").choices(["add", "remove", "list"]))
    .argument("[name]", "cuda or tfjs")
    .option("--gpu", "tfjs: TensorFlow with CUDA")
    .option(
      "--index <url>",
      "Python package index, by its Simple API (default: PIP_INDEX_URL, else https://pypi.org/simple)",
    )
    .addOption(jsonOption())
    .action(
      async (action: string, name: string | undefined, options: OutputOptions & { gpu?: boolean; index?: string }) => {
        const install = await import("./shared/runtimes/install/runtimes.js");
        const { gpu, index } = options;
        if ((action === "list") !== (name === undefined)) {
          const words =
            action === "list" ? "list takes no name" : `${action} takes a name: ${install.ADDABLE.join(" or ")}`;
          throw new KindredError("invalid_option", `runtime ${words}`);
        }
        if (action !== "list") {
          const job = { ...(gpu === undefined ? {} : { gpu }), ...(index === undefined ? {} : { index }) };
          await runJob<unknown>(
            options,
            (context) =>
              action === "add"
                ? install.addRuntime(name as string, job, context)
                : install.removeRuntime(name as string, context.signal),
            { resumes: true },
          );
        }
        const runtimes = install.addedRuntimes();
        await printResult(runtimes, options, () => runtimes.map(install.statusText).join("\n"));
      },
    );

  command(program, "schema [kind]", "print the JSON schema of a configuration file, for editors")
    .description("print the JSON schema of a configuration file (simulate or coordinator), for editors")
    .action(async (kind: string | undefined, options: OutputOptions) => {
      const { CONFIG_KINDS, configJsonSchema } = await import("./shared/config/config.js");
      const known = CONFIG_KINDS.find((name) => name === (kind ?? "simulate"));
      if (known === undefined) {
        throw new KindredError("invalid_option", `schema ${kind}: there is one for ${CONFIG_KINDS.join(" and for ")}`);
      }
      await printResult(configJsonSchema(known), { ...options, json: true }, () => "");
    });
}

function buildProgram(): Command {
  const { version, description } = JSON.parse(readFileSync(asset("package.json"), "utf8")) as Record<string, string>;
  const program = new Command("kindred")
    .description(description ?? "")
    .version(version ?? "")
    .exitOverride()
    .configureOutput({ outputError: () => {} }); // printed by reportError, on one line
  for (const add of [runCommands, rowCommands, federationCommands, stageCommands, machineCommands]) add(program);
  return program;
}

/** A mistake in the command's words, as the error that it is. */
function asMistake(error: unknown): unknown {
  if (!(error instanceof CommanderError)) return error;
  const [, , word = ""] = process.argv;
  const help = buildProgram().commands.some((each) => each.name() === word)
    ? `kindred ${word} --help`
    : "kindred --help";
  return new KindredError("invalid_option", `${error.message.replace(/^error: /, "")} (see ${help})`, {}, error);
}

async function main(): Promise<number> {
  const debug = process.argv.includes("--debug");
  // Whoever reads our output may stop reading (`| head`): that is no error of ours.
  process.stdout.on("error", (error: NodeJS.ErrnoException) => process.exit(error.code === "EPIPE" ? 0 : 1));
  for (const event of ["uncaughtException", "unhandledRejection"]) {
    process.on(event, (error: unknown) => process.exit(reportError(error, debug)));
  }
  try {
    if (process.argv.length <= 2) throw new KindredError("invalid_option", "no command given (see kindred --help)");
    await buildProgram().parseAsync();
    return 0;
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return 0; // --help and --version
    const code = reportError(asMistake(error), debug);
    return code === 130 ? stopCode() : code;
  }
}

// Not left to node: a worker or a socket that a failed job forgot would keep the process alive.
process.exit(await main());
