/**
 * Named experiments: `npm run scenario -- NAME [--out DIR] [--seed N] [--seeds COUNT] [--model DIR] [--force]`. A simulation writes its
 * population and the report of a run; a study measures one thing and writes its findings. Both continue where they were stopped.
 * Scenarios on real data need KINDRED_DATA. Without a name it lists them.
 */
import { join, resolve } from "node:path";
import { reportError, runJob, wantsColour } from "../../cli/process.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";
import { listing, parseWords, refuseName } from "../catalogue.js";
import { DEMO_OPTIONS } from "../demo/demo.js";
import { DEMO_MODEL } from "../demo/demo-model.js";
import { plantedPopulation, populationLines } from "../population/planted.js";
import { terminalReport } from "../report/terminal.js";
import type { Report } from "../report/types.js";
import { runSimulation } from "../simulate.js";
import { planOf, type StudySetup } from "./harness/setup.js";
import { findingsText, type StudyJob, writeFindings } from "./harness/study.js";
import { realData, rolePopulation, TEXT_SETS, textSetPopulation } from "./real.js";
import { STUDIES } from "./studies.js";

interface Scenario extends StudySetup {
  readonly about: string;
}

const COMMAND = "npm run scenario --";
const USAGE = `${COMMAND} NAME [--out DIR] [--model DIR] [--seed N] [--seeds COUNT] [--force] [--debug]`;

const needsModel = (): never => {
  throw new KindredError("invalid_option", "--model: required by this scenario; give the folder of the model");
};

const SCENARIOS: Readonly<Record<string, Scenario>> = {
  control: {
    about: "the demo's population with one rule for all clients: must end with one group",
    population: async (seed) => populationLines(plantedPopulation({ seed, conflict: false })),
    model: () => DEMO_MODEL,
    title: "Control: one rule for all clients",
    options: DEMO_OPTIONS,
  },
  "shakespeare-100": {
    about: "100 speaking roles of Shakespeare's plays, plain text",
    population: () => rolePopulation(100),
    model: () => realData("models", "stories3M"),
    title: "100 speaking roles",
    options: {},
  },
  "text-sets-12": {
    about: "twelve text classification sets, 160 training rows each",
    population: (seed) => textSetPopulation({ sets: TEXT_SETS, train: 160, validation: 40, test: 120, seed }),
    model: () => realData("models", "stories3M"),
    title: "Twelve text classification sets",
    options: { maxTokens: 96 },
  },
  "text-sets-8": {
    about: "eight text classification sets, 100 training rows each, for a model of 100 million parameters and more",
    population: (seed) =>
      textSetPopulation({
        sets: ["emotion", "sms_spam", "ag_news", "sst2", "tweet_offensive", "tweet_sentiment", "trec", "subj"],
        train: 100,
        validation: 24,
        test: 80,
        seed,
      }),
    model: needsModel,
    title: "Eight text classification sets",
    options: { maxTokens: 64, training: { epochs: 2 } },
  },
};

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseWords({
      allowPositionals: true,
      options: {
        out: { type: "string" },
        seed: { type: "string", default: "0" },
        seeds: { type: "string", default: "1" },
        model: { type: "string" },
        force: { type: "boolean", default: false },
        debug: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
      },
    });
    const [name, ...more] = positionals;
    if (values.help || name === undefined) {
      console.log(listing(USAGE, { ...SCENARIOS, ...STUDIES }));
      return 0;
    }
    if (more.length > 0)
      throw new KindredError("invalid_option", `only one scenario per run; got ${name}, ${more.join(", ")}`);
    const whole = (option: "seed" | "seeds", least: number): number => {
      const number = Number(values[option]);
      if (/^\d+$/.test(values[option]) && Number.isSafeInteger(number) && number >= least) return number;
      throw new KindredError(
        "invalid_option",
        `--${option}: must be a whole number of at least ${least}, got ${values[option] || "nothing"}`,
      );
    };
    const [seed, seeds] = [whole("seed", 0), whole("seeds", 1)];
    const model = values.model === undefined ? undefined : resolve(values.model);
    const job = { out: resolve(values.out ?? join("runs", name)), force: values.force, seed, seeds, model };
    const scenario = Object.hasOwn(SCENARIOS, name) ? SCENARIOS[name] : undefined;
    const study = Object.hasOwn(STUDIES, name) ? STUDIES[name] : undefined;
    if (seeds > 1 && (scenario !== undefined || study?.oneSeed))
      throw new KindredError("invalid_option", `--seeds: ${name} runs with one seed, got ${seeds}; give --seed`);
    if (scenario !== undefined) await simulate(scenario, job);
    else if (study !== undefined) {
      const findings = await runJob({ command: COMMAND }, (context) => study.run(job, context), { resumes: true });
      await writeFindings(job.out, findings);
      console.log(`${findingsText(findings)}\n\n${join(job.out, "study.html")}`);
    } else refuseName(name, Object.keys({ ...SCENARIOS, ...STUDIES }), "npm run scenario");
    return 0;
  } catch (error) {
    return reportError(error, { debug: process.argv.includes("--debug") });
  }
}

async function simulate(scenario: Scenario, job: StudyJob): Promise<void> {
  const { out, force } = job;
  const plan = await planOf(scenario, job);
  const simulated = (context: JobContext) => runSimulation(plan, { out, force, ...context });
  const report = await runJob<Report>({ command: COMMAND }, simulated, { resumes: true });
  console.log(terminalReport(report, { color: wantsColour(process.stdout), width: process.stdout.columns ?? 100 }));
}

process.exit(await main());
