/** The event stream as lines of a log. It changes nothing. */
import type { Logger } from "../../shared/base/log.js";
import type { LoggedEvent, RunEventListener } from "./events.js";

type LogLine = readonly [level: "debug" | "info" | "warn", message: string, fields: object];

/** An event as a line of a log. */
export function logLine(event: LoggedEvent): LogLine {
  switch (event.type) {
    case "run-started":
      return [
        "info",
        "run started",
        { clients: event.clients.length, ...(event.model === null ? {} : { model: event.model }) },
      ];
    case "client-enrolled": {
      const { train, validation, test } = event.rows;
      const rows = { trainingRows: train, validationRows: validation, testRows: test };
      return ["info", "client enrolled", { client: event.client, as: event.as, ...rows }];
    }
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
      // The fault that follows from it is the warning.
      return ["debug", "task failed", { client, task, kind, code, reason: message }];
    }
    case "stage-began":
      return ["debug", `${event.stage} began`, event.total > 0 ? { of: event.total } : {}];
    case "stage-advanced":
      return ["debug", event.stage, { done: event.done, ...event.info }];
    case "stage-ended":
      return ["debug", `${event.stage} ended`, event.info ?? {}];
    case "round-closed": {
      const { training, round, of, accepted, rejected, trainLoss, validationLoss } = event;
      return ["debug", "round closed", { training, round, of, accepted, rejected, trainLoss, validationLoss }];
    }
    case "learning-rate-chosen":
      return ["debug", "learning rate chosen", { subject: event.subject, learningRate: event.learningRate }];
    case "groups-found":
      return ["info", "groups found", { groups: event.groups.length, reason: event.reason }];
    case "score":
      return ["debug", "score", { method: event.method, client: event.client, loss: event.loss }];
    case "fault":
      return ["warn", "a client is left out", { client: event.client, stage: event.stage, reason: event.message }];
    // The guard of the state has told these when they happened: an event is stored when the trouble is over.
    case "run-paused":
      return ["debug", "run paused", { reason: event.message }];
    case "run-resumed":
      return ["debug", "run resumed", {}];
    case "run-finished":
      return ["info", "run finished", { groups: event.groups, adapters: event.members }];
    case "run-stopped":
      return ["info", "run stopped", { code: event.code, reason: event.message }];
  }
}

/** Writes each event that happens from now on to a log. */
export function logReader(log: Logger): RunEventListener {
  let serving: ReadonlySet<string> | undefined;
  return (event, live) => {
    if (event.type === "run-started") serving = new Set(event.clients.map(({ name }) => name));
    if (!live) return;
    const [level, message, fields] = logLine(event);
    log[level](message, fields);
    if (event.type === "client-enrolled" && serving?.has(event.client) === false) {
      log.warn("a client came too late", {
        client: event.client,
        reason: "the run began without it; it gets no ensemble",
      });
    }
  };
}
