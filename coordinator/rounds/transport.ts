/**
 * How updates of one training are to come: which transforms a task asks for, and which round's error a client carries over. A client
 * carries over the error of the last round whose result was taken, and no other, so that a resumed run is the calm one.
 */
import { type Compression, type TransformName, transformsOf } from "../../shared/transforms/names.js";
import type { Transport } from "../../tasks/kind.js";

export class UpdateTransport {
  /** Client -> last round whose update was taken with transforms. */
  private readonly last = new Map<string, number>();

  private readonly transforms: readonly TransformName[];

  constructor(
    private readonly training: string,
    compression: Compression,
  ) {
    this.transforms = transformsOf(compression);
  }

  /**
   * What a task of this round asks of a client.
   * @param started whether the round has a start: without one, the coordinator has nothing that a difference could be to
   */
  of(client: string, round: number, started: boolean): { readonly transport?: Transport } {
    if (this.transforms.length === 0 || !started) return {};
    const after = this.last.get(client);
    const { training, transforms } = this;
    return { transport: { transforms, training, round, ...(after === undefined ? {} : { after }) } };
  }

  /** Notes whose results a round took. */
  took(clients: Iterable<string>, round: number, started: boolean): void {
    if (this.transforms.length === 0 || !started) return;
    for (const client of clients) this.last.set(client, round);
  }
}
