/**
 * Logs are events: a short message and fields. Library code takes a `Logger` and is silent unless its caller gives it one.
 * No example text, gradient or key is ever logged. winston writes the command line's log; it is loaded by `createLog` alone.
 */

import { Writable } from "node:stream";
import { timeOfDay } from "./local-time.js";
import { factsOf, oneLine } from "./terminal.js";

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

/**
 * How a line of the log is written.
 * - text: time, level, message, fields as name=value
 * - json: one object with time, level, message and fields
 * - terminal: for a person who looks on: time of day, level unless it is news, message and fields in words
 */
export type LogFormat = "text" | "json" | "terminal";

export interface LogOptions {
  /** The least severe level that is written. @default "info" */
  readonly level?: LogLevel;
  /** @default "text" */
  readonly format?: LogFormat;
  /** Takes each line, without a line feed. @default to stderr: stdout is for results */
  readonly write?: (line: string) => void;
}

/** What JSON leaves as it is and a terminal may obey, or take for the end of a line: C1 controls, overrides of direction. */
const UNESCAPED = /[\x7f-\x9f\u2028-\u202e\u2066-\u2069]/g;
const escapeOf = (unit: string): string => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`;

const LINES: Readonly<Record<LogFormat, (level: string, message: string, fields: object) => string>> = {
  text(level, message, fields) {
    const named = Object.entries(fields)
      .map(([key, value]) => ` ${key}=${typeof value === "object" ? JSON.stringify(value) : String(value)}`)
      .join("");
    // Fields quote the other side, which must neither begin a line of its own nor control the terminal.
    return `${new Date().toISOString()} ${level} ${oneLine(`${message}${named}`)}`;
  },
  json: (level, message, fields) =>
    JSON.stringify({ time: new Date().toISOString(), level, message, fields }).replace(UNESCAPED, escapeOf),
  terminal(level, message, fields) {
    const facts = factsOf(fields);
    const severity = level === "warn" ? "warning: " : level === "error" ? "error: " : "";
    return `${timeOfDay(new Date())} ${oneLine(`${severity}${message}${facts.length > 0 ? `: ${facts.join(", ")}` : ""}`)}`;
  },
};

/** One line of a log. */
export const formatLine = (format: LogFormat, level: LogLevel, message: string, fields: object = {}): string =>
  LINES[format](level, message, fields);

/** A logger that writes lines. It loads winston, which takes 110 ms. */
export async function createLog({ level = "info", format = "text", write }: LogOptions = {}): Promise<Logger> {
  const { default: winston } = await import("winston");
  const line = winston.format((entry) => {
    const { level, message, ...fields } = entry;
    entry[MESSAGE] = formatLine(format, level as LogLevel, String(message), fields);
    return entry;
  });
  const transport =
    write === undefined
      ? new winston.transports.Console({ stderrLevels: Object.keys(winston.config.npm.levels) })
      : new winston.transports.Stream({ stream: linesTo(write), eol: "" });
  return winston.createLogger({ level, format: line(), transports: [transport] });
}

/** Where winston's transports look for the line (package triple-beam). */
const MESSAGE = Symbol.for("message");

const linesTo = (write: (line: string) => void): Writable =>
  new Writable({
    decodeStrings: false,
    write(chunk, _encoding, done) {
      write(String(chunk));
      done();
    },
  });

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
