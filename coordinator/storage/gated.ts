/** A state whose every call passes a gate. It knows nothing of what gates do. */
import type { BlobRef } from "../../shared/wire/types.js";
import type { Blobs, BlobWriter, IncomingBlob, Records, State } from "./types.js";

/** `read` changes nothing in the state. */
export type Access = "read" | "write";

/** Makes a call, or does not. `call` may be made again where it failed. */
export type Gate = <T>(access: Access, call: () => Promise<T>) => Promise<T>;

export function gatedState(inner: State, gate: Gate): State {
  return {
    records: gatedRecords(inner.records, gate),
    blobs: gatedBlobs(inner.blobs, gate),
    close: () => inner.close(),
  };
}

function gatedRecords(inner: Records, gate: Gate): Records {
  return {
    clients: () => gate("read", () => inner.clients()),
    saveClient: (client) => gate("write", () => inner.saveClient(client)),
    task: (id) => gate("read", () => inner.task(id)),
    addTask: (task) => gate("write", () => inner.addTask(task)),
    settleTask: (id, outcome) => gate("write", () => inner.settleTask(id, outcome)),
    announceUpload: (taskId, ref, most) => gate("write", () => inner.announceUpload(taskId, ref, most)),
    completeUpload: (taskId, ref) => gate("write", () => inner.completeUpload(taskId, ref)),
    isUploaded: (taskId, ref) => gate("read", () => inner.isUploaded(taskId, ref)),
    memo: (key) => gate("read", () => inner.memo(key)),
    saveMemo: (key, json) => gate("write", () => inner.saveMemo(key, json)),
    forgetBlob: (ref) => gate("write", () => inner.forgetBlob(ref)),
    appendEvents: (events) => gate("write", () => inner.appendEvents(events)),
    events: (from, limit) => gate("read", () => inner.events(from, limit)),
  };
}

export function gatedBlobs(inner: Blobs, gate: Gate): Blobs {
  const range = (ref: BlobRef, offset: number, length: number): Promise<Buffer> =>
    gate("read", () => inner.range(ref, offset, length));
  return {
    put: (bytes) => gate("write", () => inner.put(bytes)),
    write: async () => gatedWriter(await gate("write", () => inner.write()), gate),
    get: (ref) => gate("read", () => inner.get(ref)),
    has: (ref) => gate("read", () => inner.has(ref)),
    range,
    readInto: (ref, offset, target) => gate("read", () => inner.readInto(ref, offset, target)),
    async *read(ref, offset, pieceBytes) {
      // Piece by piece through the gate: a generator that failed cannot go on.
      for (let at = offset; at < ref.size; at += pieceBytes) {
        yield await range(ref, at, Math.min(pieceBytes, ref.size - at));
      }
    },
    held: (taskId, ref) => gate("read", () => inner.held(taskId, ref)),
    receive: async (taskId, ref) => {
      const open = (): Promise<IncomingBlob> => inner.receive(taskId, ref);
      return gatedIncoming(await gate("write", open), open, gate);
    },
    remove: (ref) => gate("write", () => inner.remove(ref)),
    dropUnfinished: (taskId) => gate("write", () => inner.dropUnfinished(taskId)),
  };
}

function gatedWriter(writer: BlobWriter, gate: Gate): BlobWriter {
  return {
    append: (bytes) => gate("write", () => writer.append(bytes)),
    finish: () => gate("write", () => writer.finish()),
    abort: () => gate("read", () => writer.abort()),
  };
}

/** @param open opens the upload again where it stopped: `finish` ends an upload, also where it fails */
function gatedIncoming(opened: IncomingBlob, open: () => Promise<IncomingBlob>, gate: Gate): IncomingBlob {
  let incoming = opened;
  let ended = false;
  return {
    get held() {
      return incoming.held;
    },
    append: (bytes) => gate("write", () => incoming.append(bytes)),
    finish: () =>
      gate("write", async () => {
        if (ended) incoming = await open();
        ended = true;
        await incoming.finish();
      }),
    suspend: () => gate("read", () => incoming.suspend()),
  };
}
