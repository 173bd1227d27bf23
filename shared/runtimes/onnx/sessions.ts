/**
 * Sessions of a thread: recently used sessions stay open, others are closed until they are used again. An open session holds the
 * memory of its largest run and its repacked weights: before sessions were closed, a whole run with 135 M parameters ended with nine
 * sessions in 12.2 GiB.
 */
import type { InferenceSession } from "./library.js";

export interface SessionPlan {
  /** Bytes of the graph's frozen weights. */
  readonly weightBytes: number;
}

/** A session that is open or closed. */
export interface HeldSession<Plan extends SessionPlan> {
  readonly plan: Plan;
  session: InferenceSession | undefined;
}

export class Sessions<Plan extends SessionPlan> {
  /** Open sessions, least recently used first. */
  private readonly open: HeldSession<Plan>[] = [];

  /**
   * @param create opens a session
   * @param mostBytes bound on the weights of all open sessions when a session with weights is opened; one session may exceed it alone
   */
  constructor(
    private readonly create: (plan: Plan) => Promise<InferenceSession>,
    private readonly mostBytes: (opening: Plan) => number,
  ) {}

  /** Opens a session, so that errors of its plan are thrown now. */
  async hold(plan: Plan): Promise<HeldSession<Plan>> {
    const held: HeldSession<Plan> = { plan, session: undefined };
    await this.use(held);
    return held;
  }

  /** The session, which is opened again where it was closed. */
  async use(held: HeldSession<Plan>): Promise<InferenceSession> {
    const at = this.open.indexOf(held);
    if (at >= 0) this.open.splice(at, 1);
    if (held.session === undefined) {
      let bytes = held.plan.weightBytes + this.open.reduce((sum, { plan }) => sum + plan.weightBytes, 0);
      while (held.plan.weightBytes > 0 && bytes > this.mostBytes(held.plan) && this.open.length > 0) {
        const oldest = this.open[0] as HeldSession<Plan>;
        bytes -= oldest.plan.weightBytes;
        await this.release(oldest);
      }
      held.session = await this.create(held.plan);
    }
    this.open.push(held);
    return held.session;
  }

  async release(held: HeldSession<Plan>): Promise<void> {
    const at = this.open.indexOf(held);
    if (at >= 0) this.open.splice(at, 1);
    const { session } = held;
    held.session = undefined;
    await session?.release();
  }
}
