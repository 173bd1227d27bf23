/** Counts the bytes on the wire per client: with retries, heartbeats and polls, without HTTP/2 and TLS framing. */

export interface Bytes {
  /** From clients. */
  readonly up: number;
  /** To clients. */
  readonly down: number;
}

export class Traffic {
  private readonly counts = new Map<string, { up: number; down: number }>();

  add(client: string, direction: keyof Bytes, bytes: number): void {
    let count = this.counts.get(client);
    if (!count) {
      count = { up: 0, down: 0 };
      this.counts.set(client, count);
    }
    count[direction] += bytes;
  }

  /** By client, since this process began. */
  clients(): ReadonlyMap<string, Bytes> {
    return this.counts;
  }

  total(): Bytes {
    let [up, down] = [0, 0];
    for (const count of this.counts.values()) {
      up += count.up;
      down += count.down;
    }
    return { up, down };
  }
}
