/** A client of a federation from code. */
import { resolve } from "node:path";
import { type ClientEnd, type GivenRows, openClient } from "../client/client.js";
import { resolveModel } from "../shared/config/config.js";
import type { EndOfText } from "../shared/config/enumerations.js";
import type { RowFormat } from "../shared/config/format.js";
import type { Quantization } from "../shared/quantization/layout.js";
import { DEFAULT_RUNTIME, type RuntimeChoice } from "../shared/runtimes/types.js";
import type { SecurityOptions } from "../shared/wire/security.js";
import { type CallOptions, contextOf } from "./options.js";

export interface StartClientOptions extends CallOptions {
  /** HOST:PORT of the coordinator. */
  readonly coordinator: string;
  /** Unique in the federation. */
  readonly name: string;
  /** Folder of the base model, GGUF file, or its id on the hub. */
  readonly model: string;
  /** Folder or file of rows, or the rows. They never leave this process. */
  readonly data: string | GivenRows;
  /** How objects and CSV rows become prompts and completions. */
  readonly format?: RowFormat;
  /** Longest row in tokens. @default 512 */
  readonly maxTokens?: number;
  /** Whether the end-of-text token is appended to rows and scored, as the option of a configuration. @default "auto" */
  readonly endOfText?: EndOfText;
  /** Draws the splits that the data lacks. @default 0 */
  readonly seed?: number;
  readonly quantization?: Quantization | "none";
  readonly runtime?: Partial<RuntimeChoice>;
  readonly security?: SecurityOptions;
  /** Folder that keeps the client's identity and, at the end, its ensemble. @default nothing is kept */
  readonly state?: string;
}

/** A client at work. */
export interface RunningClient {
  /** How its run ended, with the ensemble that it was given. Rejects with `cancelled` after `abort`. */
  readonly result: Promise<ClientEnd>;
  abort(): void;
}

/**
 * Takes part in a federation with one client's data until the coordinator says that the run is over.
 * @returns once rows and model are read and sound
 * @throws {KindredError} `invalid_data`, `invalid_model`, `not_found`, `insecure` naming file, field and value
 */
export async function startClient(options: StartClientOptions): Promise<RunningClient> {
  const { data, format = {}, maxTokens = 512, endOfText = "auto", seed = 0, quantization = "none", state } = options;
  const stop = new AbortController();
  const { log, progress, signal } = contextOf(options);
  const abort = (): void => stop.abort();
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  const client = await openClient(
    {
      coordinator: options.coordinator,
      name: options.name,
      model: resolveModel(options.model, process.cwd(), "model"),
      data: typeof data === "string" ? resolve(data) : data,
      format,
      maxTokens,
      endOfText,
      seed,
      quantization,
      runtime: { ...DEFAULT_RUNTIME, ...options.runtime },
      security: options.security ?? {},
      ...(state === undefined ? {} : { state: resolve(state) }),
    },
    { log, progress, signal: stop.signal },
  );
  const result = client.run().finally(() => signal.removeEventListener("abort", abort));
  return { result, abort };
}
