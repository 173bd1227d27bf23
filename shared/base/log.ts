/**
 * Logs are events: a short message and fields. They go to stderr always (stdout is for results). Libraries take a `Logger`
 * and stay silent unless the command line gives them one. No example text, gradient or key is ever logged.
 */
import winston from "winston";

export type Logger = winston.Logger;

/** A logger that writes nothing. */
export const silentLog: Logger = winston.createLogger({ silent: true, transports: [new winston.transports.Console()] });

export interface LogOptions {
  /** @default "info" */
  level?: string;
  /** One JSON object a line instead of text. @default false */
  json?: boolean;
}

export function createLog({ level = "info", json = false }: LogOptions = {}): Logger {
  const { combine, timestamp, printf } = winston.format;
  const text = printf(({ level, message, timestamp, ...fields }) => {
    const rest = Object.entries(fields)
      .map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
      .join(" ");
    return `${timestamp} ${level} ${message}${rest ? ` ${rest}` : ""}`;
  });
  return winston.createLogger({
    level,
    format: combine(timestamp(), json ? winston.format.json() : text),
    transports: [new winston.transports.Console({ stderrLevels: Object.keys(winston.config.npm.levels) })],
  });
}

/** The same log for parts whose news are details here: their `info` becomes `debug`. */
export function detailsOf(log: Logger): Logger {
  return Object.create(log, {
    info: { value: log.debug.bind(log) },
    child: { value: (fields: object) => detailsOf(log.child(fields)) },
  }) as Logger;
}
