/**
 * A client's work, told while it is done: which task, how far, the client's own loss, what has left, whether others are waited for. It
 * changes no task. A training's rounds, each a task of its own, are one stage.
 */
import { bytes as bytesText } from "../../shared/base/format.js";
import type { Progress, Stage, StageInfo } from "../../shared/base/progress.js";
import type { AnyTask } from "../../tasks/kind.js";
import { kindOf, type TaskSpec, type UnsentResult } from "../../tasks/kinds.js";
import type { ReleaseKind } from "../../tasks/release.js";
import type { TrainAdapter } from "../../tasks/train-adapter/message.js";
import type { TaskIo, TaskRunner } from "../session/session.js";

/** What leaves, in a user's words. */
const RELEASED: Readonly<Record<ReleaseKind, string>> = {
  sketch: "sketches",
  update: "updates",
  losses: "losses",
  score: "scores",
  weights: "weights",
  answers: "answers",
  count: "counts",
};

/** What a task is, in a user's words. */
function nameOf(task: TaskSpec): string {
  switch (task.kind) {
    case "trainAdapter":
      if (task.adapter.kind === "full") return "train all weights";
      return task.offset.length > 0 ? "train boosting" : "train adapter";
    case "sketchGradients":
      return "sketch gradients";
    case "evaluate":
      return `score ${task.split}`;
    case "fitWeights":
      return "fit weights";
    case "listChoices":
      return "list answers";
    case "receiveEnsemble":
      return "receive ensemble";
    default:
      // A kind that a program has added.
      return (task satisfies never as AnyTask).kind;
  }
}

/** The same for all rounds of a training. */
const trainingOf = ({ adapter, offset, training: { learningRate, totalSteps } }: TrainAdapter): string =>
  JSON.stringify([adapter, offset, learningRate, totalSteps]);

/** "2.31 to 1.52"; the second alone where there is no other. */
function courseOf(first: number | undefined, last: number | undefined): StageInfo {
  if (last === undefined || first === undefined) return {};
  const text = (loss: number): string => String(Number(loss.toPrecision(3)));
  return { loss: first === last ? text(last) : `${text(first)} to ${text(last)}` };
}

/** A stage that is shown: one task, or the rounds of one training. */
class Shown {
  private sent = 0;
  private first: number | undefined;
  private last: number | undefined;
  private steps: string | undefined;

  constructor(
    private readonly stage: Stage,
    private readonly releases: string,
    /** Share of the stage that is done, 0 .. 1. */
    private reached: number,
    /** Names the training; absent for other tasks. */
    readonly training?: string,
  ) {}

  /** @param share of the stage, 0 .. 1 */
  reach(share: number): void {
    const step = Math.max(0, share - this.reached);
    this.reached += step;
    this.stage.tick(step, this.info);
  }

  /** Notes the losses that a result has. */
  learn(task: TaskSpec, result: UnsentResult): void {
    if (task.kind === "trainAdapter" && result.kind === "trainAdapter") {
      this.first ??= result.losses[0];
      this.last = result.losses.at(-1) ?? this.last;
      const { firstStep, steps, totalSteps } = task.training;
      this.steps = `${firstStep + steps}/${totalSteps}`;
    } else if (result.kind === "evaluate" && result.scores.length === 1) {
      for (const { nllSum, tokens } of result.scores) this.first = this.last = nllSum / tokens;
    }
  }

  took(bytes: number): void {
    this.sent += bytes;
  }

  end(): void {
    const { steps: _, ...info } = this.info;
    this.stage.done(info);
  }

  drop(): void {
    this.stage.drop();
  }

  private get info(): StageInfo {
    return {
      ...(this.steps === undefined ? {} : { steps: this.steps }),
      ...courseOf(this.first, this.last),
      ...(this.sent === 0 ? {} : { [`${this.releases} sent`]: bytesText(this.sent) }),
    };
  }
}

export class NarratedRunner implements TaskRunner {
  private shown: Shown | undefined;
  private waiting: Stage | undefined;
  private working = false;

  constructor(
    private readonly runner: TaskRunner,
    private readonly progress: Progress,
  ) {
    this.wait();
  }

  async run(task: TaskSpec, io: TaskIo): Promise<UnsentResult> {
    this.waiting?.drop();
    this.waiting = undefined;
    this.working = true;
    const shown = this.begin(task);
    const told = (share: number): void => {
      io.progress(share);
      shown.reach(shareOf(task, share));
    };
    try {
      const result = await this.runner.run(task, { ...io, progress: told });
      shown.learn(task, result);
      return result;
    } catch (error) {
      shown.drop();
      this.shown = undefined;
      this.wait();
      throw error;
    } finally {
      this.working = false;
    }
  }

  sent(task: TaskSpec, bytes: number): void {
    const { shown } = this;
    if (shown === undefined) return;
    shown.took(bytes);
    shown.reach(shareOf(task, 1));
    if (task.kind === "trainAdapter" && shareOf(task, 1) < 1) return;
    this.end();
    this.wait();
  }

  /** Ends what is shown: the run is over. */
  close(): void {
    this.waiting?.drop();
    this.end();
  }

  /** The stage of a task: the one of its training where a round before this one was shown. */
  private begin(task: TaskSpec): Shown {
    const training = task.kind === "trainAdapter" ? trainingOf(task) : undefined;
    if (this.shown !== undefined && training !== undefined && this.shown.training === training) {
      if (task.kind === "trainAdapter" && task.training.firstStep > 0) return this.shown;
    }
    // A training whose last rounds went without this client.
    this.end();
    const note = (): string | undefined => (this.working ? undefined : "waiting for the others");
    const from = shareOf(task, 0);
    const stage = this.progress.stage(nameOf(task), 1, { from, note });
    const kinds = Object.values(kindOf(task).releases).map(({ kind }) => kind);
    const main = kinds.find((kind) => kind !== "count") ?? "count";
    this.shown = new Shown(stage, RELEASED[main], from, training);
    return this.shown;
  }

  private end(): void {
    this.shown?.end();
    this.shown = undefined;
  }

  private wait(): void {
    this.waiting = this.progress.stage("wait", 0, { note: () => "for the coordinator and the others", paced: false });
  }
}

/** How far a stage is: of a training, the task is the steps of one round. */
function shareOf(task: TaskSpec, share: number): number {
  if (task.kind !== "trainAdapter") return share;
  const { firstStep, steps, totalSteps } = task.training;
  return (firstStep + share * steps) / totalSteps;
}
