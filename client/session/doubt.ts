/**
 * Whether a coordinator that cannot be reached is away, or can never be reached as things are. A client that has not been enrolled yet
 * ends with the reason: somebody is there to mend it. One that has been enrolled was right, so the coordinator must be put right: it
 * waits, and says the reason.
 */
import { KindredError } from "../../shared/base/errors.js";
import type { Logger } from "../../shared/base/log.js";
import type { Mistake } from "../outbox/probe.js";

/** One failure may be an accident. */
const FIRST_LOOK = 2;
/** A client that was enrolled looks seldom: only what it says changes, and a look takes time. */
const SELDOM = 10;
/** How often a mistake must be found one after the other. */
const SAME = 3;
/** The same for one that time may mend: the waits before so many attempts last about a minute. */
const SAME_THAT_MAY_PASS = 25;

export interface DoubtOptions {
  /** Looks at the connection once more. */
  readonly find: () => Promise<Mistake | undefined>;
  readonly address: string;
  readonly log: Logger;
}

export class ConnectionDoubt {
  private wasEnrolled = false;
  private found = 0;
  private message = "";

  constructor(private readonly options: DoubtOptions) {}

  /** The coordinator has taken the client. */
  connected(): void {
    this.wasEnrolled = true;
    this.found = 0;
    this.message = "";
  }

  /**
   * @param attempt failures so far, from 1
   * @throws {KindredError} `invalid_option` where the connection can never work
   */
  async examine(error: KindredError, attempt: number): Promise<void> {
    // A coordinator that answered has given its own code.
    if (error.code !== "unavailable" || error.facts.status === undefined) return;
    if (this.wasEnrolled ? attempt % SELDOM !== 0 : attempt < FIRST_LOOK) return;
    const mistake = await this.options.find();
    if (mistake === undefined) {
      this.found = 0;
      return;
    }
    const { address, log } = this.options;
    const message = `coordinator ${address}: ${mistake.message}`;
    if (message !== this.message) log.warn("the coordinator cannot be reached so", { reason: message });
    this.found = message === this.message ? this.found + 1 : 1;
    this.message = message;
    if (this.wasEnrolled || this.found < (mistake.mayPass ? SAME_THAT_MAY_PASS : SAME)) return;
    throw new KindredError("invalid_option", message, { coordinator: address }, error);
  }
}
