/** Messages between a runtime and its worker thread. `Plan` is a graph in the form that the runtime sends. */
import type { ErrorCode } from "../base/errors.js";
import type { Feed, FeedData, HostTensor } from "./types.js";

export type Request<Plan> =
  | { id: number; kind: "compile"; plan: Plan }
  | { id: number; kind: "run"; program: number; feeds: Record<string, Feed>; fetch: string[]; keep: string[] }
  | { id: number; kind: "upload"; tensor: HostTensor }
  | { id: number; kind: "download"; tensor: number }
  | { id: number; kind: "free"; tensors: number[] }
  | { id: number; kind: "release"; program: number }
  | { id: number; kind: "close" };

export interface Returned {
  readonly shape: readonly number[];
  /** Present for a fetched tensor. */
  readonly data?: FeedData;
  /** Number of a kept tensor. */
  readonly resident?: number;
}

export type Reply =
  | { id: number; ok: true; program?: number; tensors?: Record<string, Returned> }
  | { id: number; ok: false; code: ErrorCode; message: string };
