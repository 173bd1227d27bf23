/** A process that runs one job by `runJob`, for the test of it. Its first argument says how the job behaves. */
import { setTimeout as sleep } from "node:timers/promises";
import { outputOf, printResult, reportError, runJob } from "../../cli/process.js";
import type { JobContext } from "../../shared/base/command.js";
import { KindredError } from "../../shared/base/errors.js";

const [behaviour] = process.argv.slice(2);
const output = { json: true, ...outputOf(process.argv.slice(2)) };

// Between two Ctrl-C lies a second by the job's own clock, or no time at all.
let nowMs = 0;
Date.now = () => {
  if (behaviour !== "twin") nowMs += 1000;
  return nowMs;
};
/** Resolves with the second Ctrl-C. */
const twice = (): Promise<void> =>
  new Promise((resolve) => {
    let interrupts = 0;
    const alive = setInterval(() => {}, 60_000);
    process.on("SIGINT", () => {
      if (++interrupts < 2) return;
      clearInterval(alive);
      resolve();
    });
  });

const work = async ({ signal, progress }: JobContext): Promise<{ done: boolean }> => {
  const stage = progress.stage("work", 10);
  const both = behaviour === "twin" ? twice() : undefined;
  process.stdout.write("ready\n");
  if (behaviour === "fail") throw new Error("broken\nin two lines");
  if (behaviour === "deaf") await sleep(60_000);
  await sleep(60_000, undefined, { signal }).catch(() => {});
  await both;
  if (behaviour === "fail on stop") throw new KindredError("unavailable", "the channel is closed");
  if (behaviour === "stop") throw new KindredError("cancelled", "stopped");
  stage.done();
  return { done: true };
};
const job = runJob(output, work, { resumes: true });

process.exit(
  await job.then(
    async (result) => {
      if (behaviour === "unread") {
        process.stdout.write("unread\n");
        await sleep(60_000);
      }
      await printResult(result, output, () => "");
      return 0;
    },
    (error: unknown) => reportError(error, output),
  ),
);
