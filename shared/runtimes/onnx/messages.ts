/** What the runtime and its worker thread say to each other. */
import type { Feed, FeedData } from "../types.js";

export interface SessionSettings {
  readonly provider: string;
  readonly threads: number;
  readonly prepack: boolean;
  readonly spin: number;
}

export type Request =
  | { id: number; kind: "compile"; model: Uint8Array; weightsFolder?: string; settings: SessionSettings }
  | { id: number; kind: "run"; session: number; feeds: Record<string, Feed>; fetch: string[]; keep: string[] }
  | { id: number; kind: "upload"; shape: readonly number[]; data: FeedData }
  | { id: number; kind: "download"; tensor: number }
  | { id: number; kind: "free"; tensors: number[] }
  | { id: number; kind: "release"; session: number }
  | { id: number; kind: "close" };

export interface Returned {
  readonly shape: readonly number[];
  /** Present where the tensor was fetched. */
  readonly data?: FeedData;
  /** Present where it was kept. */
  readonly resident?: number;
}

export type Reply =
  | { id: number; ok: true; session?: number; tensors?: Record<string, Returned> }
  | { id: number; ok: false; message: string };
