/** `kindred runtime add | remove | list` */
import { Argument, type Command } from "commander";
import { KindredError } from "../shared/base/errors.js";
import { jsonOption } from "./options/general.js";
import { example } from "./options/help.js";
import { type OutputOptions, printResult, runJob } from "./process.js";

interface InstallOptions extends OutputOptions {
  readonly gpu?: boolean;
  readonly index?: string;
}

export function runtime(command: Command): Command {
  command
    .addArgument(new Argument("<action>", "what to do").choices(["add", "remove", "list"]))
    .argument("[name]", "cuda or tfjs")
    .option("--gpu", "tfjs: TensorFlow with CUDA")
    .option(
      "--index <url>",
      "Python package index, by its Simple API (default: PIP_INDEX_URL, else https://pypi.org/simple)",
    )
    .addOption(jsonOption())
    .action(runtimeAction);
  return example(command, "runtime add cuda");
}

async function runtimeAction(action: string, name: string | undefined, options: InstallOptions): Promise<void> {
  const install = await import("../shared/runtimes/install/runtimes.js");
  const { gpu, index } = options;
  if ((action === "list") !== (name === undefined)) {
    const words = action === "list" ? "list takes no name" : `${action} takes a name: ${install.ADDABLE.join(" or ")}`;
    throw new KindredError("invalid_option", `runtime ${words}`);
  }
  if (name !== undefined) {
    const job = { ...(gpu === undefined ? {} : { gpu }), ...(index === undefined ? {} : { index }) };
    await runJob<unknown>(
      options,
      (context) =>
        action === "add" ? install.addRuntime(name, job, context) : install.removeRuntime(name, context.signal),
      { resumes: true },
    );
  }
  const runtimes = install.addedRuntimes();
  await printResult(runtimes, options, () => runtimes.map(install.statusText).join("\n"));
}
