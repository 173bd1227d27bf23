/**
 * Sessions of a thread: those used last stay open, others are closed until they are asked for again. A session holds the memory
 * of its largest run, and its repacked weights, for as long as it is open: a whole run with 135 M parameters used to end with
 * nine sessions in 12.2 GiB.
 */
import type { InferenceSession } from "onnxruntime-node";

export interface SessionPlan {
  /** What the graph's frozen weights take. */
  readonly weightBytes: number;
}

/** A session, open or not. */
export interface Held<Plan extends SessionPlan> {
  readonly plan: Plan;
  session: InferenceSession | undefined;
}

export class Sessions<Plan extends SessionPlan> {
  /** Open ones, least recently used first. */
  private readonly open: Held<Plan>[] = [];

  /**
   * @param create opens a session
   * @param mostBytes of weights in open sessions together once one with weights is opened; it may exceed them alone
   */
  constructor(
    private readonly create: (plan: Plan) => Promise<InferenceSession>,
    private readonly mostBytes: (opening: Plan) => number,
  ) {}

  /** Opens a session: what is wrong with its plan shows now. */
  async hold(plan: Plan): Promise<Held<Plan>> {
    const held: Held<Plan> = { plan, session: undefined };
    await this.use(held);
    return held;
  }

  /** The session, opened again where it was closed. */
  async use(held: Held<Plan>): Promise<InferenceSession> {
    const at = this.open.indexOf(held);
    if (at >= 0) this.open.splice(at, 1);
    if (held.session === undefined) {
      let bytes = held.plan.weightBytes + this.open.reduce((sum, { plan }) => sum + plan.weightBytes, 0);
      while (held.plan.weightBytes > 0 && bytes > this.mostBytes(held.plan) && this.open.length > 0) {
        const oldest = this.open[0] as Held<Plan>;
        bytes -= oldest.plan.weightBytes;
        await this.release(oldest);
      }
      held.session = await this.create(held.plan);
    }
    this.open.push(held);
    return held.session;
  }

  async release(held: Held<Plan>): Promise<void> {
    const at = this.open.indexOf(held);
    if (at >= 0) this.open.splice(at, 1);
    const { session } = held;
    held.session = undefined;
    await session?.release();
  }
}
