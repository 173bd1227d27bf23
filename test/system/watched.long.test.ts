/**
 * Whole runs with an empty home, away from CI, every system call on files and sockets watched: nothing is written but below the
 * folders of the runs, the cache and the temporary folder, no name is looked up, and nobody is called but the coordinator.
 */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join, sep } from "node:path";
import { after, describe, it } from "node:test";
import { temporaryFolder } from "../support/federation.js";
import { ProcessFederation } from "../support/process-federation.js";
import { kindred } from "../support/processes.js";
import { jsonLines, TINY_MODEL, tinyClients, writeTinyRun } from "../support/tiny.js";
import { cannotWatch, cleanHome, type Deeds, deedsIn, watching } from "../support/watch.js";

describe("a watched run", { skip: cannotWatch() }, () => {
  const folder = temporaryFolder();
  after(folder.remove);
  const cwd = join(folder.path, "cwd");
  mkdirSync(cwd);
  const { env, unset, home, tmp, cache } = cleanHome(folder.path);
  const clients = tinyClients({ clients: 3 });
  const run = join(folder.path, "run");

  /** How a process is started; its traces go to a folder of that name. */
  const watched = (name: string) => ({ cwd, env, through: [...unset, ...watching(join(folder.path, name))] });

  const does = async (name: string, ...words: readonly string[]): Promise<Deeds> => {
    const { code, stderr } = await kindred(words, watched(name));
    assert.equal(code, 0, stderr);
    return deedsIn(join(folder.path, name), cwd);
  };

  const outside = ({ written }: Deeds, ...places: readonly string[]): string[] => {
    const allowed = [...places, tmp, cache];
    return [...written].filter(
      (path) => path !== "/dev/null" && !allowed.some((place) => path === place || path.startsWith(place + sep)),
    );
  };

  const keepsToItself = (deeds: Deeds, ...places: readonly string[]): void => {
    assert.deepEqual(outside(deeds, ...places), []);
    assert.deepEqual([...deeds.datagrams], []);
    assert.deepEqual(
      [...deeds.connected].filter((to) => !deeds.listened.has(to)),
      [],
    );
    assert.ok(
      [...deeds.listened].every((at) => at.startsWith("127.0.0.1:")),
      [...deeds.listened].join(),
    );
    assert.deepEqual(
      readdirSync(join(home, "xdg-cache-home")).filter((name) => name !== "kindred"),
      [],
    );
    assert.deepEqual(
      readdirSync(home).filter((name) => !name.startsWith("xdg-")),
      [],
    );
  };

  it("a simulation writes its folder and speaks to its own coordinator", async () => {
    const config = writeTinyRun(folder.path, clients, { compare: ["base", "shared", "local"] });
    const deeds = await does("simulation", "simulate", config, "--out", run);
    assert.ok(deeds.written.has(join(run, "report.html")));
    assert.equal(deeds.connected.size, 1);
    keepsToItself(deeds, run);
  });

  it("evaluate, predict and export write what they are told to, and call nobody", async () => {
    const rows = join(folder.path, "rows.jsonl");
    const [first] = clients;
    writeFileSync(rows, jsonLines(first?.test ?? []));
    const members = join(folder.path, "export");
    const texts = join(folder.path, "texts");
    const prompts = join(folder.path, "prompts.jsonl");
    writeFileSync(prompts, '{"prompt": "the rain was good"}\n');
    const data = ["--model", TINY_MODEL, "--data"];
    keepsToItself(await does("evaluation", "evaluate", ...data, rows, "--json"));
    keepsToItself(await does("exporting", "export", run, "--out", members), members);
    const ensemble = ["--ensemble", members, "--client", "c0"];
    keepsToItself(await does("prediction", "predict", ...data, rows, ...ensemble, "--json"));
    const generation = ["--max-new-tokens", "4", "--out", join(texts, "texts.jsonl")];
    keepsToItself(await does("generation", "predict", ...data, prompts, ...generation), texts);
    assert.ok(existsSync(join(texts, "texts.jsonl")));
  });

  it("a coordinator and its clients write their states and speak to each other", async (t) => {
    const place = join(folder.path, "federation");
    const federation = new ProcessFederation(place, clients, watched("deployment"));
    t.after(() => federation.stop());
    const processes = [await federation.coordinator(), ...clients.map(({ client }) => federation.client(client))];
    for (const { code, stderr } of await Promise.all(processes.map(({ end }) => end))) assert.equal(code, 0, stderr);
    const deeds = deedsIn(join(folder.path, "deployment"), cwd);
    assert.equal(deeds.connected.size, 1);
    assert.ok(existsSync(join(federation.stateOf("c0"), "ensemble")));
    keepsToItself(
      deeds,
      federation.state,
      ...clients.map(({ client }) => federation.stateOf(client)),
      join(place, "clients"),
    );
  });

  it("positive controls: each kind of deed is seen", () => {
    const deedsOf = (name: string, program: string): Deeds => {
      const { through } = watched(name);
      const [env0, ...words] = [...through, process.execPath, "--eval", program];
      const { status, stderr } = spawnSync(env0 as string, words, {
        cwd,
        env: { ...process.env, ...env },
        encoding: "utf8",
      });
      assert.equal(status, 0, stderr);
      return deedsIn(join(folder.path, name), cwd);
    };
    const writes = 'require("node:fs").writeFileSync(process.env.HOME + "/left", "")';
    assert.deepEqual(outside(deedsOf("control-file", writes)), [join(home, "left")]);
    const relative = 'require("node:fs").mkdirSync("made")';
    assert.deepEqual(outside(deedsOf("control-folder", relative)), [join(cwd, "made")]);
    const looksUp = 'require("node:dns").lookup("kindred.invalid", () => {})';
    assert.ok([...deedsOf("control-name", looksUp).connected].some((to) => /:53$|nscd|resolve/.test(to)));
    const connects = 'require("node:net").connect(9, "127.0.0.1").on("error", () => {})';
    assert.deepEqual([...deedsOf("control-network", connects).connected], ["127.0.0.1:9"]);
  });
});
