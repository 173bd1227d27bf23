/** A whole deployment on this machine: the command line's own coordinator and clients, each a process. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort, type Started, type StartOptions, start } from "./processes.js";
import { TINY_MODEL, TINY_OPTIONS, type TinyClient, writeClientFolder } from "./tiny.js";

/** A federation of processes: one coordinator, and a process for each client. */
export class ProcessFederation {
  readonly state: string;
  private readonly config: string;
  private readonly data: ReadonlyMap<string, string>;
  private port = 0;
  private readonly running: Started[] = [];
  private readonly starting: StartOptions;

  /**
   * @param folder configuration, rows and states are folders in it
   * @param how `options`: of the configuration, beside those of the tiny run. The others: how each process is started
   */
  constructor(
    private readonly folder: string,
    clients: readonly TinyClient[],
    { options: given = {}, ...starting }: StartOptions & { readonly options?: object } = {},
  ) {
    this.starting = starting;
    mkdirSync(folder, { recursive: true });
    this.state = join(folder, "coordinator");
    this.config = join(folder, "coordinator.yaml");
    const { adapter, training, estimation, runtime } = TINY_OPTIONS;
    const options = { minClients: clients.length, adapter, training, estimation, runtime, ...given };
    writeFileSync(this.config, JSON.stringify(options));
    this.data = new Map(clients.map((client) => [client.client, writeClientFolder(join(folder, "data"), client)]));
  }

  async coordinator(): Promise<Started> {
    if (this.port === 0) this.port = await freePort();
    const listen = `127.0.0.1:${this.port}`;
    return this.keep(
      start(
        ["coordinator", "--config", this.config, "--listen", listen, "--state", this.state, "--debug"],
        this.starting,
      ),
    );
  }

  client(name: string): Started {
    const data = this.data.get(name) ?? "";
    const state = this.stateOf(name);
    const address = `127.0.0.1:${this.port}`;
    const words = ["--coordinator", address, "--model", TINY_MODEL, "--data", data, "--name", name, "--state", state];
    return this.keep(start(["client", ...words, "--debug"], this.starting));
  }

  stateOf(name: string): string {
    return join(this.folder, "clients", name);
  }

  stop(): void {
    for (const process of this.running) process.kill("SIGKILL");
  }

  private keep(process: Started): Started {
    this.running.push(process);
    return process;
  }
}
