/**
 * How a federated training is cut into rounds. Every client makes the same number of passes over its own rows, so clients with
 * more rows take more steps. Those with fewer steps than there are rounds sit some rounds out, evenly; all take part in the first.
 */

export interface ScheduleOptions {
  /** Training rows of each client. */
  readonly rows: readonly number[];
  /** Passes over each client's rows. */
  readonly epochs: number;
  /** Rows a step. */
  readonly batch: number;
  /** Most steps a client takes between two averages. */
  readonly localSteps: number;
}

export interface RoundSchedule {
  readonly rounds: number;
  /** Steps of each client over all rounds, at least 1. */
  readonly totalSteps: readonly number[];
  /** First step and number of steps of a client in a round, from 0. */
  localSteps(client: number, round: number): { readonly firstStep: number; readonly steps: number };
  /** Whether the clients validate what a round starts from: the first, and some up to the end, evenly. */
  validates(round: number): boolean;
}

/**
 * Averages that a training should have at least, where it has as many steps: what clients that differ do between two averages
 * partly cancels. Five text sets on stories3M, 16 steps each: test loss 1.55 with 8 averages, 1.28 with 16; 32 steps each, along
 * the running mean of averages: 0.82 with 16, 0.58 with 32.
 */
const FEWEST_ROUNDS = 32;
/** Validating costs as much as a few steps: done for each of many short rounds it would cost more than they do. */
const MOST_VALIDATIONS = 8;

export function roundSchedule({ rows, epochs, batch, localSteps }: ScheduleOptions): RoundSchedule {
  const totalSteps = rows.map((count) => Math.max(1, Math.round(epochs * Math.ceil(count / batch))));
  const most = Math.max(...totalSteps);
  // One client has nobody to average with.
  const rounds = rows.length === 1 ? 1 : Math.min(Math.max(Math.ceil(most / localSteps), FEWEST_ROUNDS), most);
  const every = Math.ceil(rounds / MOST_VALIDATIONS);
  return {
    rounds,
    totalSteps,
    localSteps(client, round) {
      const total = totalSteps[client] as number;
      const firstStep = Math.ceil((total * round) / rounds);
      return { firstStep, steps: Math.ceil((total * (round + 1)) / rounds) - firstStep };
    },
    validates: (round) => round === 0 || (rounds - round) % every === 0,
  };
}
