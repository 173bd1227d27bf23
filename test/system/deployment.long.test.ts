import assert from "node:assert/strict";
import { cpSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { readPeftAdapter } from "../../shared/adapters/peft.js";
import { temporaryFolder } from "../support/federation.js";
import { ProcessFederation } from "../support/process-federation.js";
import { type Ended, freePort, kindred, type Started, start } from "../support/processes.js";
import { comparable } from "../support/reports.js";
import { jsonLines, TINY_MODEL, TINY_OPTIONS, tinyClients, writeClientFolder } from "../support/tiny.js";

interface Result {
  readonly clients: readonly string[];
  readonly groups: readonly (readonly string[])[];
  readonly members: readonly { readonly name: string }[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly methods: Readonly<Record<string, Readonly<Record<string, { loss: number; accuracy: number | null }>>>>;
  readonly cost: { readonly flops: number; readonly bytesUp: number; readonly bytesDown: number };
  readonly faults: readonly unknown[];
}

interface Ensemble {
  readonly members: readonly string[];
  readonly weights: Readonly<Record<string, readonly number[]>>;
  readonly rule: string;
}

const readJson = <T>(...path: string[]): T => JSON.parse(readFileSync(join(...path), "utf8")) as T;

const CLIENTS = tinyClients({ clients: 3 });
const NAMES = CLIENTS.map(({ client }) => client);

function succeeded(...ended: readonly Ended[]): void {
  for (const { code, stderr, stdout } of ended) {
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^the run is complete[:,] /);
  }
}

describe("a coordinator and three clients, each a process", () => {
  const folder = temporaryFolder();
  const whole = new ProcessFederation(join(folder.path, "whole"), CLIENTS);
  after(() => {
    whole.stop();
    folder.remove();
  });
  let result: Result;
  before(async () => {
    const coordinator = await whole.coordinator();
    const clients = NAMES.map((name) => whole.client(name));
    succeeded(...(await Promise.all([coordinator.end, ...clients.map(({ end }) => end)])));
    result = readJson<Result>(whole.state, "result.json");
  });

  it("end with exit code 0 and a result, which says how each client fares", () => {
    assert.deepEqual(result.clients, NAMES);
    assert.deepEqual(result.groups.flat().toSorted(), NAMES);
    assert.deepEqual(result.faults, []);
    assert.ok(result.cost.flops > 0 && result.cost.bytesUp > 0 && result.cost.bytesDown > 0);
    for (const name of NAMES) {
      assert.ok(Number.isFinite(result.methods.kindred?.[name]?.loss));
      assert.ok((result.methods.kindred?.[name]?.loss ?? 99) < (result.methods.base?.[name]?.loss ?? 0));
    }
  });

  it("leave each client its own ensemble: the members that it uses, as PEFT folders, and their weights", async () => {
    for (const name of NAMES) {
      const kept = join(whole.stateOf(name), "ensemble");
      const ensemble = readJson<Ensemble>(kept, "ensemble.json");
      const all = result.members.map((member, at) => [member.name, result.weights[name]?.[at] ?? 0] as const);
      const used = all.filter(([, weight]) => weight !== 0);
      assert.deepEqual(
        ensemble.members,
        used.map(([member]) => member),
      );
      assert.deepEqual(ensemble.weights, { [name]: used.map(([, weight]) => weight) });
      assert.deepEqual(readdirSync(join(kept, "members")).toSorted(), ensemble.members.toSorted());
      for (const member of ensemble.members) {
        const adapter = await readPeftAdapter(join(kept, "members", member));
        assert.equal(adapter.rank, TINY_OPTIONS.adapter.rank);
        assert.ok(adapter.tensors.size > 0);
      }
    }
  });

  it("is exported: the members of all, the weights of all; and each member helps its own group's clients", async () => {
    const out = join(folder.path, "exported");
    const { code, stdout, stderr } = await kindred(["export", whole.state, "--out", out, "--json"]);
    assert.equal(code, 0, stderr);
    const ensemble = readJson<Ensemble>(out, "ensemble.json");
    assert.deepEqual(JSON.parse(stdout).members, ensemble.members);
    assert.deepEqual(
      ensemble.members,
      result.members.map(({ name }) => name),
    );
    assert.deepEqual(ensemble.weights, result.weights);
    assert.equal(ensemble.rule, "base + sum of w (member - base), on logits");
    for (const [group, names] of result.groups.entries()) {
      const client = CLIENTS.find((entry) => entry.client === names[0]);
      const rows = join(folder.path, "rows.jsonl");
      writeFileSync(rows, jsonLines(client?.test ?? []));
      const evaluate = async (...adapter: string[]) => {
        const run = await kindred(["evaluate", "--model", TINY_MODEL, "--data", rows, "--json", ...adapter]);
        assert.equal(run.code, 0, run.stderr);
        return JSON.parse(run.stdout) as { examples: number; tokens: number; loss: number; accuracy: number };
      };
      const base = await evaluate();
      const tuned = await evaluate("--adapter", join(out, "members", `group-${group + 1}`));
      assert.equal(base.examples, client?.test.length);
      // What evaluate finds for the base is what the run reported of it.
      const reported = result.methods.base?.[names[0] ?? ""];
      assert.ok(Math.abs(base.loss - (reported?.loss ?? 0)) < 1e-3 * base.loss, `${base.loss} ${reported?.loss}`);
      assert.equal(base.accuracy, reported?.accuracy);
      assert.ok(tuned.loss < base.loss, `${tuned.loss} < ${base.loss}`);
    }
    const again = await kindred(["export", whole.state, "--out", out]);
    assert.equal(again.code, 2);
    assert.match(again.stderr, /^kindred: [^\n]*exported: is not empty[^\n]*--force[^\n]*\n$/);
  });

  it("end with the same result where the coordinator was killed twice and a client once", async () => {
    const disturbed = new ProcessFederation(join(folder.path, "disturbed"), CLIENTS);
    try {
      const first = await disturbed.coordinator();
      const clients = new Map(NAMES.map((name) => [name, disturbed.client(name)]));
      const victim = clients.get("c1")!;
      const steady = clients.get("c0")!;
      await steady.seen(/task done .*kind=sketchGradients/);
      first.kill("SIGKILL");
      await first.end;
      await steady.seen(/coordinator is away/);
      const second = await disturbed.coordinator();
      await steady.seen(/coordinator is back/);
      await steady.seen(/task done .*kind=trainAdapter/);
      victim.kill("SIGKILL");
      assert.equal((await victim.end).signal, "SIGKILL");
      clients.set("c1", disturbed.client("c1"));
      await second.seen(/ info train groups: /);
      second.kill("SIGKILL");
      await second.end;
      const third = await disturbed.coordinator();
      succeeded(...(await Promise.all([third.end, ...[...clients.values()].map(({ end }) => end)])));
      assert.deepEqual(comparable(readJson(disturbed.state, "result.json")), comparable(result));
      for (const name of NAMES) assert.ok(existsSync(join(disturbed.stateOf(name), "ensemble", "ensemble.json")));
    } finally {
      disturbed.stop();
    }
  });

  it("do not take up a state of another configuration", async () => {
    const config = join(folder.path, "other.yaml");
    writeFileSync(config, "minClients: 2\n");
    const words = ["--config", config, "--listen", "127.0.0.1:0", "--state", whole.state];
    const { code, stderr } = await kindred(["coordinator", ...words, "--quiet"]);
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^kindred: \S+coordinator: holds a run of another configuration: [a-zA-Z.]+ is \S+ there and \S+ here;[^\n]+\n$/,
    );
  });
});

describe("a coordinator that is told how many clients to wait for, and nothing else", () => {
  const folder = temporaryFolder();
  const started: Started[] = [];
  after(() => {
    for (const process of started) process.kill("SIGKILL");
    folder.remove();
  });

  it("takes the first client's model for the rule, refuses others and a name twice, and runs", async () => {
    const config = join(folder.path, "coordinator.yaml");
    writeFileSync(config, "minClients: 2\n");
    const port = await freePort();
    const address = `127.0.0.1:${port}`;
    const state = join(folder.path, "coordinator");
    const launch = (...words: string[]): Started => {
      const process = start(words);
      started.push(process);
      return process;
    };
    const data = tinyClients({ clients: 2, train: 8 }).map((client) => writeClientFolder(folder.path, client));
    const client = (name: string, at: number, model = TINY_MODEL): Started =>
      launch("client", "--coordinator", address, "--model", model, "--data", data[at] ?? "", "--name", name);

    const coordinator = launch("coordinator", "--config", config, "--listen", address, "--state", state);
    await coordinator.seen(/coordinator listens/);
    const first = client("c0", 0);
    await coordinator.seen(/client enrolled/);
    const twin = await client("c0", 1).end;
    assert.equal(twin.code, 2);
    assert.match(twin.stderr, /^kindred: another client with the name c0 is alive[^\n]*choose another name[^\n]*$/m);

    const other = join(folder.path, "other-model");
    cpSync(TINY_MODEL, other, { recursive: true });
    const weights = join(other, "model.safetensors");
    const bytes = readFileSync(weights);
    bytes.writeFloatLE(0.25, bytes.length - 4);
    writeFileSync(weights, bytes);
    const stranger = await client("c1", 1, other).end;
    assert.equal(stranger.code, 2);
    assert.match(
      stranger.stderr,
      /^kindred: client c1 has the base model [0-9a-f]+, the run [0-9a-f]+: give all clients the same model folder$/m,
    );

    const second = client("c1", 1);
    succeeded(...(await Promise.all([coordinator.end, first.end, second.end])));
    const result = readJson<Result>(state, "result.json");
    assert.deepEqual(result.clients, ["c0", "c1"]);
    assert.deepEqual(result.faults, []);
  });
});

describe("off the loopback", () => {
  const folder = temporaryFolder();
  after(() => folder.remove());

  it("a coordinator does not listen without TLS, unless told to", async () => {
    const config = join(folder.path, "coordinator.yaml");
    writeFileSync(config, "minClients: 1\n");
    const words = ["coordinator", "--config", config, "--listen", "0.0.0.0:0", "--state", join(folder.path, "state")];
    const { code, stderr } = await kindred(words);
    assert.equal(code, 2);
    assert.match(stderr, /^kindred: [^\n]*0\.0\.0\.0[^\n]*--insecure[^\n]*\n$/);
    const insecure = start([...words, "--insecure"]);
    await insecure.seen(/coordinator listens/);
    insecure.kill("SIGINT");
    assert.equal((await insecure.end).code, 130);
  });

  it("a client does not dial without TLS", async () => {
    const data = writeClientFolder(folder.path, tinyClients({ clients: 1 })[0]!);
    const words = ["--coordinator", "192.0.2.1:4000", "--model", TINY_MODEL, "--data", data, "--name", "c0"];
    const { code, stderr } = await kindred(["client", ...words, "--quiet"]);
    assert.equal(code, 2);
    assert.match(stderr, /^kindred: [^\n]*192\.0\.2\.1[^\n]*--insecure[^\n]*\n$/);
  });
});
