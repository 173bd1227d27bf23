/**
 * The enrolled clients in memory: their records, sessions and ledgers. Decisions are in enrolment.ts and ledger.ts. It knows nothing of
 * storage, timers, connections or the contents of tasks.
 */

import { createHash, randomBytes } from "node:crypto";
import { KindredError } from "../../shared/base/errors.js";
import { MAX_CLIENTS, PROTOCOL_VERSION } from "../../shared/wire/limits.js";
import type { ModelIdentity, RowCounts } from "../../shared/wire/types.js";
import type { StoredClient } from "../storage/types.js";
import { decideEnrolment, type EnrolmentKind, IDENTITY_PARTS } from "./enrolment.js";
import {
  emptyLedger,
  isLive,
  type Ledger,
  type LedgerEffect,
  type LedgerEvent,
  type LedgerPolicy,
  step,
} from "./ledger.js";
import type { ClientInfo } from "./pool.js";

export interface EnrolRequest {
  readonly protocolVersion: number;
  readonly name: string;
  readonly instanceId: string;
  readonly identity: ModelIdentity;
  readonly rows: RowCounts;
  readonly transforms: readonly string[];
}

export interface Enrolment {
  readonly record: StoredClient;
  /** The session's token: only its hash is kept. */
  readonly token: string;
  readonly as: EnrolmentKind;
}

interface EnrolledClient {
  record: StoredClient;
  ledger: Ledger;
  /** Heard from by this process. */
  seen: boolean;
  /** Given up after a long silence; until it is heard from again. */
  left: boolean;
  /** Knows that the run is over. */
  notified: boolean;
}

interface Session {
  readonly name: string;
  /** Whether it is the name's current session. */
  current: boolean;
}

export interface EnrolledClientsOptions extends LedgerPolicy {
  /** What clients must have. A part that is left out is that of the first client that has one. */
  readonly identity: Partial<ModelIdentity>;
  /** Transforms that clients must support. */
  readonly transforms: readonly string[];
  readonly now: () => number;
}

export function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

export class EnrolledClients {
  private readonly byName = new Map<string, EnrolledClient>();
  /** By the hash of the token. */
  private readonly sessions = new Map<string, Session>();

  constructor(private readonly options: EnrolledClientsOptions) {}

  get size(): number {
    return this.byName.size;
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  names(): string[] {
    return [...this.byName.keys()];
  }

  /** By name. */
  list(): ClientInfo[] {
    return [...this.byName.values()]
      .map((client) => ({
        name: client.record.name,
        modelHash: client.record.identity.modelHash,
        rows: client.record.rows,
        live: this.isLive(client),
      }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Takes up a client that an earlier process enrolled. */
  restore(record: StoredClient): void {
    const ledger = emptyLedger(this.options.now());
    this.byName.set(record.name, { record, ledger, seen: false, left: false, notified: false });
    this.sessions.set(record.tokenHash, { name: record.name, current: true });
  }

  /** Decides on a client and opens its session. @throws {KindredError} see `decideEnrolment` */
  enrol(request: EnrolRequest): Enrolment {
    const { name, identity, rows } = request;
    const instanceHash = sha256(request.instanceId);
    const holder = this.byName.get(name);
    const decision = decideEnrolment(
      { ...request, instanceHash },
      holder && { instanceHash: holder.record.instanceHash, live: this.isLive(holder) },
      {
        protocolVersion: PROTOCOL_VERSION,
        identity: this.expected(),
        transforms: this.options.transforms,
        clients: this.size,
        maxClients: MAX_CLIENTS,
      },
    );
    if (!decision.admit) throw decision.error;
    const token = randomBytes(32).toString("base64url");
    const record = { name, instanceHash, tokenHash: sha256(token), identity, rows };
    const ledger = holder?.ledger ?? emptyLedger(this.options.now());
    this.replaceSession(name, record.tokenHash);
    this.byName.set(name, { record, ledger, seen: true, left: false, notified: holder?.notified ?? false });
    this.step(name, { type: "seen" });
    return { record, token, as: decision.as };
  }

  /** The client of a session. @throws {KindredError} `not_found` (enrol again), `name_taken` (replaced) */
  authenticate(token: string): string {
    const session = this.sessions.get(sha256(token));
    const client = session && this.byName.get(session.name);
    if (session && !session.current) {
      const message = `another process enrolled as ${session.name} after this one and holds the name now; give each client a name and a --state of its own`;
      throw new KindredError("name_taken", message, { client: session.name });
    }
    if (session && client) {
      client.seen = true;
      client.left = false;
      this.step(session.name, { type: "seen" });
      return session.name;
    }
    throw new KindredError("not_found", "the coordinator does not know this session: enrol again", { what: "session" });
  }

  /** Applies an event to a client's ledger. @returns what is to be done; nothing for an unknown client */
  step(name: string, event: LedgerEvent): readonly LedgerEffect[] {
    const client = this.byName.get(name);
    if (!client) return [];
    const [ledger, effects] = step(client.ledger, event, this.options.now(), this.options);
    client.ledger = ledger;
    return effects;
  }

  /** Notes that a client knows that the run is over. */
  notified(name: string): void {
    const client = this.byName.get(name);
    if (client) client.notified = true;
  }

  /** Whether every client knows that the run is over, was never heard from by this process, or is silent. */
  allGone(): boolean {
    return [...this.byName.values()].every((client) => client.notified || !client.seen || !this.isLive(client));
  }

  /** Gives up a client after a long silence. @returns true the first time */
  giveUpIfSilent(name: string): boolean {
    const client = this.byName.get(name);
    if (!client?.seen || client.left || this.isLive(client)) return false;
    client.left = true;
    return true;
  }

  private isLive({ ledger }: EnrolledClient): boolean {
    return isLive(ledger, this.options.now(), this.options);
  }

  /** What a client must have: the coordinator's own, else that of the first client that has one. */
  private expected(): Partial<ModelIdentity> {
    const given = [this.options.identity, ...[...this.byName.values()].map(({ record }) => record.identity)];
    return Object.fromEntries(
      IDENTITY_PARTS.map((part) => [part, given.find((identity) => identity[part] != null)?.[part]]),
    );
  }

  /** The current session of a name becomes its former one, so that its process learns of the replacement; older ones are dropped. */
  private replaceSession(name: string, tokenHash: string): void {
    for (const [hash, session] of this.sessions) {
      if (session.name !== name) continue;
      if (session.current) session.current = false;
      else this.sessions.delete(hash);
    }
    this.sessions.set(tokenHash, { name, current: true });
  }
}
