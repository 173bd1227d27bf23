/**
 * `npm run bench -- NAME ... [--json]`: every figure beside a peer's or a physical limit in the same run. Run it on an idle machine.
 * The peers' figures appear where KINDRED_PYTHON names a Python that has torch, transformers, peft and scikit-learn. Without a name it
 * lists what there is.
 */
import { cpus, totalmem } from "node:os";
import { reportError } from "../../cli/process.js";
import { OnnxRuntime } from "../../shared/runtimes/onnx/runtime.js";
import type { Runtime } from "../../shared/runtimes/types.js";
import { type Described, listing, parseWords, refuseName } from "../catalogue.js";
import { benchAggregation } from "./aggregation.js";
import { benchCompression } from "./compression.js";
import { benchEngine, benchSketching } from "./engine.js";
import { benchEstimation, benchLargeEstimation } from "./estimation.js";
import { benchGroupings } from "./groupings.js";
import { benchGrowth } from "./growth.js";
import { benchMembers } from "./members.js";
import { benchMemory } from "./memory.js";
import { benchPlantedGroups } from "./planted-groups.js";
import { benchProjections } from "./projections.js";
import { benchSdp } from "./sdp.js";
import { benchTraining } from "./training.js";

const print = (line: string): void => console.log(line);

async function withRuntime(use: (runtime: Runtime) => Promise<unknown>): Promise<void> {
  const runtime = new OnnxRuntime();
  await use(runtime);
  await runtime.close();
}

interface Benchmark extends Described {
  /** @param json one JSON object per line, where the benchmark supports it */
  readonly run: (json: boolean) => Promise<unknown>;
}

const USAGE = "npm run bench -- NAME ... [--json]";

const BENCHMARKS: Readonly<Record<string, Benchmark>> = {
  engine: {
    about: "forward + backward with per-example gradients, SmolLM2-135M shape",
    run: () => withRuntime((runtime) => benchEngine(runtime, print)),
  },
  sketching: {
    about: "margins, per-example gradients and their sketches, SmolLM2-135M shape",
    run: () => withRuntime((runtime) => benchSketching(runtime, print)),
  },
  training: {
    about: "a LoRA training step, SmolLM2-135M shape",
    run: () => withRuntime((runtime) => benchTraining(runtime, print)),
  },
  memory: {
    about: "peak memory as it is planned with and as it is measured, each in a process of its own",
    run: () => benchMemory(print),
  },
  aggregation: {
    about: "a round's updates folded by strategies: peak memory, time, longest gap of the event loop; 8 GB on disk",
    run: (json) => benchAggregation(print, { json }),
  },
  members: {
    about: "four adapters in one pass and one after the other: classification, text",
    run: () => withRuntime((runtime) => benchMembers(runtime, print)),
  },
  estimation: {
    about:
      "subset surrogates, d = 400, 100 examples per client: 100 clients with 1,000 subsets of 10, 500 with 2,000 of 25",
    run: () => withRuntime((runtime) => benchEstimation(runtime, print)),
  },
  "estimation-large": {
    about: "subset surrogates, d = 400, 100 examples per client: 2,000 clients with 10,000 subsets of 45",
    run: () => withRuntime((runtime) => benchLargeEstimation(runtime, print)),
  },
  "estimation-growth": {
    about: "how time and memory of the estimation grow with n, k and d: a table and a plot in runs/",
    run: () => benchGrowth(print, "runs"),
  },
  projections: {
    about:
      "what a budget of sketch numbers buys: one wide projection, or several narrow ones averaged; planted sketches",
    run: () => withRuntime((runtime) => benchProjections(runtime, print)),
  },
  sdp: {
    about: "the grouping relaxation with its certificate, beside cvxpy with SCS: 100 and 500 clients",
    run: () => benchSdp(print),
  },
  "planted-groups": {
    about:
      "planted groups found among 500 clients, three levels of noise, beside other ways; populations without groups",
    run: () => benchPlantedGroups(print),
  },
  compression: {
    about: "the demo's population with updates as they are, in half precision and in 8 bits: losses and bytes",
    run: () => benchCompression(print),
  },
  groupings: {
    about: "the demo's population: groups found against planted and random groups, really trained",
    run: () => benchGroupings(print),
  },
};

async function main(): Promise<number> {
  try {
    const { values, positionals } = parseWords({
      allowPositionals: true,
      options: { json: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
    });
    if (values.help || positionals.length === 0) {
      print(listing(USAGE, BENCHMARKS));
      return 0;
    }
    const unknown = positionals.find((name) => !Object.hasOwn(BENCHMARKS, name));
    if (unknown !== undefined) refuseName(unknown, Object.keys(BENCHMARKS), "npm run bench");
    // In JSON mode the output is JSON alone.
    const note = values.json ? (line: string): void => console.error(line) : print;
    const [processor] = cpus();
    note(
      `${cpus().length} x ${processor?.model ?? "unknown processor"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB, Node ${process.versions.node}`,
    );
    for (const [name, { about, run }] of Object.entries(BENCHMARKS)) {
      if (!positionals.includes(name)) continue;
      note(`${name}: ${about}`);
      await run(values.json);
    }
    return 0;
  } catch (error) {
    return reportError(error, {});
  }
}

process.exit(await main());
