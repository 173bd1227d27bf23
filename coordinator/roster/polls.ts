/** The calls of clients that wait for their next task; each is answered once. It knows nothing of the choice of the task. */
import type { TaskSpec } from "../../tasks/kinds.js";

export type NextTask =
  | { readonly type: "none" }
  | { readonly type: "task"; readonly taskId: string; readonly task: TaskSpec }
  | { readonly type: "over"; readonly finished: boolean; readonly reason: string };

interface Waiting {
  readonly client: string;
  readonly answer: (next: NextTask) => void;
}

export class Polls {
  private readonly waiting = new Map<number, Waiting>();
  private next = 1;

  /**
   * Opens a waiting call.
   * @param signal the caller hung up: the call is answered with none
   * @param onHangUp called with the number of the call
   */
  open(
    client: string,
    signal: AbortSignal,
    onHangUp: (poll: number) => void,
  ): { readonly poll: number; readonly reply: Promise<NextTask> } {
    const poll = this.next++;
    const reply = new Promise<NextTask>((resolve) => {
      const hangUp = () => {
        this.waiting.delete(poll);
        onHangUp(poll);
        resolve({ type: "none" });
      };
      signal.addEventListener("abort", hangUp, { once: true });
      const answer = (next: NextTask) => {
        signal.removeEventListener("abort", hangUp);
        resolve(next);
      };
      this.waiting.set(poll, { client, answer });
    });
    return { poll, reply };
  }

  /** Answers a call; without effect where it was answered or its caller hung up. */
  answer(poll: number, next: NextTask): void {
    const waiting = this.waiting.get(poll);
    this.waiting.delete(poll);
    waiting?.answer(next);
  }

  /** The open calls and their clients. */
  list(): (readonly [poll: number, client: string])[] {
    return [...this.waiting].map(([poll, { client }]) => [poll, client]);
  }
}
