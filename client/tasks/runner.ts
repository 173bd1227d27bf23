/** Does a client's tasks on its own rows: finds the work of a task's kind, runs it, and adds what it took. */
import { peakRssBytes } from "../../shared/base/peak.js";
import { loadWork, type TaskSpec, type UnsentResult } from "../../tasks/kinds.js";
import type { EncodedDataset } from "../data/types.js";
import type { TaskIo, TaskRunner } from "../session/session.js";
import { type ClientWorkOptions, type Work, WorkTools } from "./work.js";

export class ClientWork implements TaskRunner {
  private data: EncodedDataset | undefined;

  constructor(private readonly options: ClientWorkOptions) {}

  async run(task: TaskSpec, io: TaskIo): Promise<UnsentResult> {
    const work = (await loadWork(task)) as Work;
    const tools = new WorkTools(this.options, () => this.dataset(), io);
    const result = await work(task, tools);
    const { flops, computeSeconds } = tools.meter;
    const cost = { flops, computeSeconds, peakRssBytes: peakRssBytes() };
    return { kind: task.kind, ...result, cost } as UnsentResult;
  }

  private dataset(): EncodedDataset {
    this.data ??= this.options.dataset();
    return this.data;
  }
}
