/** Readers of the event stream for a person: bars of progress, and lines of a log. They change nothing. */
import type { Logger } from "../../shared/base/log.js";
import type { Progress, Stage } from "../../shared/base/progress.js";
import type { EventInfo, LoggedEvent, RunEventListener } from "./events.js";

/**
 * Shows the stages of a run. Stages that ended before the subscription are not shown again, and the one under way goes on from where
 * it was.
 */
export function progressReader(progress: Progress): RunEventListener {
  const stages = new Map<string, { readonly total: number; done: number; shown?: { stage: Stage; done: number } }>();
  const show = (name: string, info?: EventInfo): void => {
    const entry = stages.get(name);
    if (entry === undefined) return;
    entry.shown ??= { stage: progress.stage(name, entry.total), done: 0 };
    entry.shown.stage.tick(entry.done - entry.shown.done, info);
    entry.shown.done = entry.done;
  };
  return (event, live) => {
    if (event.type === "stage-began") {
      stages.set(event.stage, { total: event.total, done: 0 });
      if (live) show(event.stage);
    } else if (event.type === "stage-advanced") {
      const entry = stages.get(event.stage);
      // Units of a stage may be stored in any order.
      if (entry !== undefined) entry.done = Math.max(entry.done, event.done);
      if (live) show(event.stage, event.info);
    } else if (event.type === "stage-ended") {
      if (live) {
        show(event.stage, event.info);
        stages.get(event.stage)?.shown?.stage.done(event.info);
      }
      stages.delete(event.stage);
    }
  };
}

type LogLine = readonly [level: "debug" | "info" | "warn", message: string, fields: object];

/** An event as a line of a log. */
export function logLine(event: LoggedEvent): LogLine {
  switch (event.type) {
    case "run-started":
      return ["info", "run started", { clients: event.clients.length, model: event.model }];
    case "client-enrolled":
      return ["info", "client enrolled", { client: event.client, as: event.as, rows: event.rows.train }];
    case "client-left":
      return ["warn", "client left", { client: event.client, reason: event.reason }];
    case "task-given":
      return ["debug", "task given", { client: event.client, task: event.task, kind: event.kind }];
    case "task-progress":
      return ["debug", "task progress", { client: event.client, task: event.task, fraction: event.fraction }];
    case "task-done": {
      const { client, task, kind, bytesUp, bytesDown } = event;
      return ["debug", "task done", { client, task, kind, bytesUp, bytesDown }];
    }
    case "task-failed": {
      const { client, task, kind, code, message } = event;
      return ["warn", "task failed", { client, task, kind, code, reason: message }];
    }
    case "stage-began":
      return ["info", `${event.stage} began`, event.total > 0 ? { of: event.total } : {}];
    case "stage-advanced":
      return ["debug", event.stage, { done: event.done, ...event.info }];
    case "stage-ended":
      return ["info", `${event.stage} ended`, event.info ?? {}];
    case "round-closed": {
      const { training, round, of, accepted, rejected, trainLoss, validationLoss } = event;
      return ["debug", "round closed", { training, round, of, accepted, rejected, trainLoss, validationLoss }];
    }
    case "learning-rate-chosen":
      return ["info", "learning rate chosen", { subject: event.subject, learningRate: event.learningRate }];
    case "groups-found":
      return ["info", "groups found", { groups: event.groups.length, reason: event.reason }];
    case "score":
      return ["debug", "score", { method: event.method, client: event.client, loss: event.loss }];
    case "fault":
      return ["warn", "a client is left out", { client: event.client, stage: event.stage, reason: event.message }];
    case "run-finished":
      return ["info", "run finished", { groups: event.groups, members: event.members }];
    case "run-stopped":
      return ["info", "run stopped", { code: event.code, reason: event.message }];
  }
}

/** Writes each event that happens from now on to a log. */
export function logReader(log: Logger): RunEventListener {
  return (event, live) => {
    if (!live) return;
    const [level, message, fields] = logLine(event);
    log[level](message, fields);
  };
}
