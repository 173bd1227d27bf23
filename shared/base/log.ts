/**
 * Logs are events: a short message and fields. Library code takes a `Logger` and is silent unless its caller gives it one.
 * No example text, gradient or key is ever logged. winston writes the command line's log; it is loaded by `createLog` alone.
 */

import { oneLine } from "./terminal.js";

/** Fields of an event. They must be serialisable as JSON. */
export type LogFields = object;

/** What Kindred needs of a logger. Those of winston, pino (with a small adapter) and `console` can be given this form. */
export interface Logger {
  error(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  debug(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each of its events. */
  child(fields: LogFields): Logger;
}

const ignore = (): void => {};

/** A logger that writes nothing. */
export const silentLog: Logger = {
  error: ignore,
  warn: ignore,
  info: ignore,
  debug: ignore,
  child: () => silentLog,
};

export const LOG_LEVELS = ["error", "warn", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

export interface LogOptions {
  /** The least severe level that is written. @default "info" */
  readonly level?: LogLevel;
  /** Whether each line is one JSON object. Otherwise each line is text. @default false */
  readonly json?: boolean;
}

/** A logger that writes to stderr: stdout is for results. It loads winston, which takes 110 ms. */
export async function createLog({ level = "info", json = false }: LogOptions = {}): Promise<Logger> {
  const { default: winston } = await import("winston");
  const { combine, timestamp, printf } = winston.format;
  const text = printf(({ level, message, timestamp, ...fields }) => {
    const rest = Object.entries(fields)
      .map(([key, value]) => `${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
      .join(" ");
    // Fields quote the other side, which must neither begin a line of its own nor control the terminal.
    return `${timestamp} ${level} ${oneLine(`${message}${rest ? ` ${rest}` : ""}`)}`;
  });
  return winston.createLogger({
    level,
    format: combine(timestamp(), json ? winston.format.json() : text),
    transports: [new winston.transports.Console({ stderrLevels: Object.keys(winston.config.npm.levels) })],
  });
}

/** The same log for parts whose news are details here: their `info` becomes `debug`. */
export function detailsOf(log: Logger): Logger {
  return {
    error: (message, fields) => log.error(message, fields),
    warn: (message, fields) => log.warn(message, fields),
    info: (message, fields) => log.debug(message, fields),
    debug: (message, fields) => log.debug(message, fields),
    child: (fields) => detailsOf(log.child(fields)),
  };
}
