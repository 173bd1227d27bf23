import assert from "node:assert/strict";
import { test } from "node:test";
import { Command } from "commander";
import { COMMANDS, type CommandEntry } from "../../cli/commands.js";
import { HELP } from "../../cli/options/help.js";
import { refuseUnknownOptions } from "../../cli/options/mistakes.js";
import { runCommandLine } from "../../cli/program.js";
import { KindredError } from "../../shared/base/errors.js";

/** The message with which the words are refused, before any job is run. */
async function refusal(...words: string[]): Promise<string> {
  const error = await runCommandLine(words).then(
    () => assert.fail(`kindred ${words.join(" ")} was not refused`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof KindredError);
  assert.equal(error.code, "invalid_option");
  return error.message;
}

test("an unknown option is named before one that is missing, and all unknown ones are named", async () => {
  assert.equal(
    await refusal("simulate", "x.yaml", "--otu", "dir"),
    "unknown option '--otu' (did you mean '--out'?); see kindred simulate --help",
  );
  assert.equal(
    await refusal("evaluate", "--modle=m", "--data", "d", "--zebra", "--josn"),
    "unknown options '--modle' (did you mean '--model'?), '--zebra', '--josn' (did you mean '--json'?); see kindred evaluate --help",
  );
  assert.match(await refusal("simulate", "--otu", "dir", "--out"), /^unknown option '--otu'/);
});

test("an option that stands where another's value is due is not taken for the value", async () => {
  assert.match(await refusal("simulate", "x.yaml", "--out", "--force"), /'--out <dir>' has no value: option '--force'/);
  assert.match(await refusal("simulate", "x.yaml", "--out"), /'--out <dir>' argument missing; see kindred simulate/);
});

test("an unknown command is named with the nearest one, whatever follows", async () => {
  assert.equal(
    await refusal("evalaute", "--otu"),
    "unknown command 'evalaute' (did you mean 'evaluate'?); see kindred --help",
  );
  assert.equal(await refusal("help", "zebra"), "unknown command 'zebra'; see kindred --help");
  assert.equal(await refusal(), "no command given; see kindred --help");
  assert.equal(await refusal("--jsno", "simulate"), "unknown option '--jsno'; see kindred --help");
});

test("an action of a command is named like a command is, with what there is", async () => {
  assert.equal(
    await refusal("run", "shwo", "runs/a", "--json"),
    "kindred run: unknown action 'shwo' (did you mean 'show'?); expected one of show, logs, rm; see kindred run --help",
  );
  assert.equal(
    await refusal("run"),
    "kindred run: no action given; expected one of show, logs, rm; see kindred run --help",
  );
  assert.equal(
    await refusal("run", "logs", "runs/a", "--folow"),
    "unknown option '--folow' (did you mean '--follow'?); see kindred run logs --help",
  );
  assert.equal(await refusal("run", "show"), "no state given; expected one: kindred run show STATE");
  assert.match(await refusal("run", "logs", "a", "--state", "b"), /^two states given, a and --state b; expected one/);
});

test("what is missing or wrong besides is said with the command whose help explains it", async () => {
  assert.match(
    await refusal("simulate", "x.yaml"),
    /required option '--out <dir>' not specified; see kindred simulate/,
  );
  assert.match(
    await refusal("demo", "--seed", "-1"),
    /argument '-1' is invalid.* at least 0; see kindred demo --help$/,
  );
  assert.match(await refusal("export", "a", "b", "--out", "c"), /too many arguments for 'export'/);
});

/** A command as the program has it, filled in. */
async function loaded({ name, summary, load }: CommandEntry): Promise<Command> {
  const program = new Command("kindred").configureHelp(HELP);
  return (await load())(program.command(name).description(summary));
}

/** What `--help` prints, the text after the options included. */
function helpOf(command: Command): string {
  let text = "";
  command.configureOutput({ writeOut: (part) => (text += part) }).outputHelp();
  return text;
}

const entries = Object.values(COMMANDS).flat();

test("every command's help marks what is required and gives an example that has it and nothing unknown", async () => {
  for (const entry of entries) {
    const command = await loaded(entry);
    for (const leaf of command.commands.length > 0 ? command.commands : [command]) {
      const help = helpOf(leaf);
      const words =
        / {0}Example: kindred (.+)$/m.exec(help)?.[1]?.split(" ") ?? assert.fail(`${entry.name}: no example`);
      assert.deepEqual(
        words.slice(0, leaf === command ? 1 : 2),
        leaf === command ? [entry.name] : [entry.name, leaf.name()],
      );
      assert.doesNotThrow(() => refuseUnknownOptions(leaf, words));
      for (const { long, mandatory } of leaf.options.filter((option) => option.mandatory)) {
        assert.ok(mandatory && words.includes(long as string), `${entry.name}: the example lacks ${long}`);
      }
      const marked = help.replace(/\s+/g, " ").match(/\((?:required)\)/g) ?? [];
      assert.equal(marked.length, leaf.options.filter(({ mandatory }) => mandatory).length, entry.name);
    }
  }
});

test("every command has a name of its own and a summary of one line that starts with a small letter", () => {
  const names = entries.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { summary } of entries) assert.match(summary, /^[a-z][^\n]{10,100}[^.\n]$/);
});
