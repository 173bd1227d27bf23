/** Kindred as a library. Nothing here writes to the console or ends the process. */
export { ERROR_CODES, type ErrorCode, KindredError } from "./shared/base/errors.js";
export { type LogFields, type Logger, silentLog } from "./shared/base/log.js";
