/**
 * States in this process's memory, for runs that need not survive it: tests, small simulations. A state with a name stays until the
 * process ends, and can be opened again after `close`.
 */
import { KindredError } from "../../../shared/base/errors.js";
import type { Lease, Scheme } from "../types.js";
import { MemoryBlobs } from "./blobs.js";
import { MemoryRecords } from "./records.js";

class MemoryState {
  readonly records = new MemoryRecords();
  readonly blobs = new MemoryBlobs();
  private leased = false;

  get isLeased(): boolean {
    return this.leased;
  }

  /** @throws {KindredError} `invalid_option` while another part of the process holds the lease */
  async lease(url: string): Promise<Lease> {
    if (this.leased) {
      const message = `state ${url}: is in use by another process; stop that one, or choose another state`;
      throw new KindredError("invalid_option", message, { url });
    }
    this.leased = true;
    let held = true;
    return {
      release: async () => {
        if (held) this.leased = false;
        held = false;
      },
    };
  }
}

const named = new Map<string, MemoryState>();

const nameOf = (url: string): string => url.slice("memory:".length);

function stateOf(name: string): MemoryState {
  if (name === "") return new MemoryState();
  const state = named.get(name) ?? new MemoryState();
  named.set(name, state);
  return state;
}

export const memoryScheme: Scheme = {
  open: async (url) => {
    const state = stateOf(nameOf(url));
    const lease = await state.lease(url);
    return {
      records: state.records,
      blobs: state.blobs,
      close: async () => {
        await state.blobs.suspendAll();
        await lease.release();
      },
    };
  },
  read: async (url) => {
    const state = named.get(nameOf(url));
    if (state === undefined)
      throw new KindredError("not_found", `state ${url}: this process has no such state`, { url });
    return { records: state.records, blobs: state.blobs, hasRoom: async () => true, close: async () => undefined };
  },
  inUse: async (url) => named.get(nameOf(url))?.isLeased ?? false,
};
