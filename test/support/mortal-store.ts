/**
 * The state of one process of the coordinator: it counts the writes of the process, and the process dies with a given write.
 * Calls of a dead process never return. It knows nothing of the content and the place of writes.
 */
import type { Blobs, BlobWriter, IncomingBlob, Records, State } from "../../coordinator/storage/types.js";

/** The end of a process of the coordinator. */
export interface Death {
  /** Its last write, counted from 1. */
  readonly write: number;
  /**
   * With what follows the write. `unheard`: at once, nobody learns that it was written. `heard`: as the next write begins, of which
   * nothing is kept.
   */
  readonly moment: "unheard" | "heard";
  /** The machine loses power too. */
  readonly powerCut: boolean;
}

export interface MortalState {
  readonly state: State;
  /** Number of writes so far. */
  readonly writes: () => number;
  /** From then on nothing of the process reaches the state. */
  kill(): void;
}

const never = <T>(): Promise<T> => new Promise<T>(() => undefined);

export function mortal(inner: State, death: Death | undefined, onDeath: () => void): MortalState {
  let dead = false;
  let writes = 0;
  const die = <T>(): Promise<T> => {
    dead = true;
    onDeath();
    return never<T>();
  };
  /** The result or error of a call, unless the process is dead by then. */
  const read = <T>(call: () => Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      if (dead) return;
      call().then(
        (value) => {
          if (!dead) resolve(value);
        },
        (error) => {
          if (!dead) reject(error);
        },
      );
    });
  const write = async <T>(call: () => Promise<T>): Promise<T> => {
    if (dead) return never<T>();
    if (death?.moment === "heard" && writes >= death.write) return die<T>();
    const own = ++writes;
    const value = await read(call);
    return death?.moment === "unheard" && own >= death.write ? die<T>() : value;
  };
  return {
    state: {
      records: mortalRecords(inner.records, read, write),
      blobs: mortalBlobs(inner.blobs, read, write),
      close: () => inner.close(),
    },
    writes: () => writes,
    kill: () => {
      dead = true;
    },
  };
}

type Gate = <T>(call: () => Promise<T>) => Promise<T>;

function mortalRecords(inner: Records, read: Gate, write: Gate): Records {
  return {
    clients: () => read(() => inner.clients()),
    saveClient: (client) => write(() => inner.saveClient(client)),
    task: (id) => read(() => inner.task(id)),
    addTask: (task) => write(() => inner.addTask(task)),
    settleTask: (id, outcome) => write(() => inner.settleTask(id, outcome)),
    announceUpload: (taskId, ref, most) => write(() => inner.announceUpload(taskId, ref, most)),
    completeUpload: (taskId, ref) => write(() => inner.completeUpload(taskId, ref)),
    isUploaded: (taskId, ref) => read(() => inner.isUploaded(taskId, ref)),
    memo: (key) => read(() => inner.memo(key)),
    saveMemo: (key, json) => write(() => inner.saveMemo(key, json)),
    forgetBlob: (ref) => write(() => inner.forgetBlob(ref)),
    // Events decide nothing: a death at one of these writes equals a death between two other writes.
    appendEvents: (events) => read(() => inner.appendEvents(events)),
    events: (from, limit) => read(() => inner.events(from, limit)),
  };
}

function mortalBlobs(inner: Blobs, read: Gate, write: Gate): Blobs {
  return {
    put: (bytes) => write(() => inner.put(bytes)),
    get: (ref) => read(() => inner.get(ref)),
    has: (ref) => read(() => inner.has(ref)),
    range: (ref, offset, length) => read(() => inner.range(ref, offset, length)),
    readInto: (ref, offset, target) => read(() => inner.readInto(ref, offset, target)),
    write: async (): Promise<BlobWriter> => {
      const writer = await read(() => inner.write());
      return {
        append: (bytes) => read(() => writer.append(bytes)),
        finish: () => write(() => writer.finish()),
        abort: () => read(() => writer.abort()),
      };
    },
    async *read(ref, offset, pieceBytes) {
      const pieces = inner.read(ref, offset, pieceBytes);
      for (;;) {
        const next = await read(() => pieces.next());
        if (next.done) return;
        yield next.value;
      }
    },
    held: (taskId, ref) => read(() => inner.held(taskId, ref)),
    receive: async (taskId, ref): Promise<IncomingBlob> => {
      const incoming = await read(() => inner.receive(taskId, ref));
      return {
        get held() {
          return incoming.held;
        },
        append: (bytes) => write(() => incoming.append(bytes)),
        finish: () => write(() => incoming.finish()),
        suspend: () => read(() => incoming.suspend()),
      };
    },
    remove: (ref) => write(() => inner.remove(ref)),
    dropUnfinished: (taskId) => write(() => inner.dropUnfinished(taskId)),
  };
}
