/**
 * A budget for this process's memory, and the sizes of batches that stay within it.
 *
 * The model of the peak resident set is the sum of four parts; its constants were fitted on two shapes of models (`npm run bench --
 * memory`). The parts: the process with its engine; the base model's weights, which are mapped from their files and count once they
 * are read; the state of training an adapter; and of each open session its nodes and the values of its largest run, which it keeps.
 */
import { showBytes } from "../../shared/base/bytes.js";
import { KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import { sizeOf } from "../../shared/base/tensors.js";
import { type Bindings, resolve } from "../../shared/graph/dims.js";
import type { Graph } from "../../shared/graph/graph.js";
import { MemoryCounter } from "../../shared/graph/memory.js";
import { packedBytes } from "../../shared/quantization/layout.js";
import type { EncodedRow } from "../data/types.js";
import type { BaseModel } from "../models/base.js";
import type { AdapterLayout } from "./adapter.js";

/** Node.js with a worker thread and ONNX Runtime: 70 MiB of mapped code and 60 MiB of its own. */
const PROCESS_BYTES = 130 * 2 ** 20;
/** Memory of ONNX Runtime per node of a graph, with the message that the node was read from. */
const NODE_BYTES = 13_000;
/** Share of a limit that is planned with. The rest is for errors of the model and for garbage that is not collected yet. */
const USED_SHARE = 0.9;
/** Copies of a trained vector: values and moments, their next values, the gradient, AdamW's intermediate values, the caller's. */
const OPTIMIZER_COPIES = 10;

/** Memory of one graph's session. */
export class GraphMemory {
  private readonly counter: MemoryCounter;
  private readonly computed = new Map<string, number>();
  /** Bytes of a session before it runs. */
  private readonly fixed: number;

  constructor(private readonly graph: Graph) {
    this.counter = new MemoryCounter(graph);
    this.fixed = graph.nodes.length * NODE_BYTES + this.counter.constantBytes;
  }

  /** Bytes of a session and of its largest run. Feeds count twice: the caller and the engine each hold them. */
  of(bindings: Bindings): number {
    const key = JSON.stringify(bindings);
    let bytes = this.computed.get(key);
    if (bytes === undefined) {
      const feeds = Object.values(this.graph.inputs).map(({ shape }) =>
        sizeOf(shape.map((dim) => resolve(dim, bindings))),
      );
      bytes = this.fixed + this.counter.peak(bindings) + 8 * feeds.reduce((sum, size) => sum + size, 0);
      this.computed.set(key, bytes);
    }
    return bytes;
  }
}

/** Bytes of a process before any work: the base model's weights are mapped, not repacked. */
export function idleBytes({ architecture, sources }: BaseModel): number {
  let weights = 0;
  for (const [name, shape] of architecture.weights) {
    const form = sources.get(name)?.form;
    weights += form === undefined ? 4 * sizeOf(shape) : packedBytes(form, shape);
  }
  return PROCESS_BYTES + weights;
}

/** Bytes of the state of training an adapter. */
export const optimizerBytes = ({ trainedSize }: AdapterLayout): number => OPTIMIZER_COPIES * 4 * trainedSize;

/** The work that a share of the memory is for. */
export type Purpose = "training" | "scoring" | "sketching" | "curvature";

/** A limit on this process's memory. */
export class MemoryBudget {
  private readonly graphs = new Map<string, GraphMemory>();
  private readonly said = new Set<string>();

  /**
   * @param bytes of the whole process, as the system counts its resident set
   * @param trains whether a training session may be open beside another one. Of the memory beside weights and adapters, three
   *   quarters are then for training and a quarter for other work. Otherwise there is one session
   */
  constructor(
    readonly bytes: number,
    private readonly model: BaseModel,
    private readonly log: Logger,
    private readonly trains: boolean,
  ) {}

  /** The memory of a graph, which is built once per name and layout. */
  graph(name: string, layout: AdapterLayout, build: () => Graph): GraphMemory {
    const key = JSON.stringify([name, layout.spec]);
    let memory = this.graphs.get(key);
    if (memory === undefined) {
      memory = new GraphMemory(build());
      this.graphs.set(key, memory);
    }
    return memory;
  }

  private share(purpose: Purpose): number {
    return !this.trains ? 1 : purpose === "training" ? 0.75 : 0.25;
  }

  private held(layout: AdapterLayout): number {
    return idleBytes(this.model) + (this.trains ? optimizerBytes(layout) : 0);
  }

  /** Bytes that a session for this purpose may take. */
  room(purpose: Purpose, layout: AdapterLayout): number {
    return this.share(purpose) * (USED_SHARE * this.bytes - this.held(layout));
  }

  /** Refuses the limit. @param least bytes of a session for the smallest piece of work. @param work that piece, in words */
  refuse(purpose: Purpose, layout: AdapterLayout, least: number, work: string): never {
    const needed = (this.held(layout) + least / this.share(purpose)) / USED_SHARE;
    throw new KindredError(
      "invalid_option",
      `--memory ${showBytes(this.bytes)} is too little; ${purpose} needs at least ${showBytes(needed)} for ${work}`,
      { memory: this.bytes, needed: Math.ceil(needed) },
    );
  }

  /**
   * Tokens of the largest batch that fits: `most`, or a half, a quarter, ... of it.
   * @param bindings sizes of a batch of that many tokens
   * @throws {KindredError} `invalid_option` naming the memory that would do
   */
  tokens(
    purpose: Purpose,
    layout: AdapterLayout,
    graph: GraphMemory,
    { most, longest }: { readonly most: number; readonly longest: number },
    bindings: (tokens: number) => Bindings,
  ): number {
    const room = this.room(purpose, layout);
    for (let tokens = Math.max(most, longest); ; tokens = Math.max(longest, tokens >> 1)) {
      const needed = graph.of(bindings(tokens));
      if (needed <= room) {
        this.say(purpose, { tokensOfABatch: tokens });
        return tokens;
      }
      if (tokens <= longest) this.refuse(purpose, layout, needed, `its longest row of ${longest} tokens`);
    }
  }

  /**
   * As `tokens`, for one row per sequence.
   * @param rows in ascending order of length. @param more sizes of the graph's symbols other than B, T and S
   */
  tokensOfRows(
    {
      purpose,
      layout,
      graph,
    }: { readonly purpose: Purpose; readonly layout: AdapterLayout; readonly graph: GraphMemory },
    rows: readonly EncodedRow[],
    most: number,
    more: Bindings = {},
  ): number {
    const longest = rows.at(-1)!.tokens.length;
    const asked = Math.max(...rows.map(({ scored }) => scored.length));
    return this.tokens(purpose, layout, graph, { most, longest }, (tokens) => {
      const B = Math.floor(tokens / longest);
      return { B, T: longest, S: B * asked, ...more };
    });
  }

  /** Logs a choice, once. */
  say(purpose: Purpose, choice: Readonly<Record<string, number | boolean>>): void {
    const key = JSON.stringify([purpose, choice]);
    if (this.said.has(key)) return;
    this.said.add(key);
    this.log.info("memory planned", { for: purpose, limit: showBytes(this.bytes), ...choice });
  }
}

/** A budget; undefined where `bytes` sets no limit. */
export function budgetOf(
  bytes: number | undefined,
  model: BaseModel,
  log: Logger,
  { trains }: { readonly trains: boolean },
): MemoryBudget | undefined {
  return bytes === undefined ? undefined : new MemoryBudget(bytes, model, log, trains);
}
