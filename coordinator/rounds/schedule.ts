/**
 * How a federated training is cut into rounds. Every client makes the same number of passes over its own rows, so clients with
 * more rows take more steps a round; all take part in every round.
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
  stretch(client: number, round: number): { readonly firstStep: number; readonly steps: number };
}

/** Averages that a training should have at least: fewer, and clients drift apart before the first one (FedAvg becomes one shot). */
const FEWEST_ROUNDS = 8;

export function roundSchedule({ rows, epochs, batch, localSteps }: ScheduleOptions): RoundSchedule {
  const totalSteps = rows.map((count) => Math.max(1, Math.round(epochs * Math.ceil(count / batch))));
  const most = Math.max(...totalSteps);
  // One client has nobody to average with.
  const wanted = rows.length === 1 ? 1 : Math.max(Math.ceil(most / localSteps), FEWEST_ROUNDS);
  const rounds = Math.min(wanted, Math.min(...totalSteps));
  return {
    rounds,
    totalSteps,
    stretch(client, round) {
      const total = totalSteps[client] as number;
      const firstStep = Math.floor((total * round) / rounds);
      return { firstStep, steps: Math.floor((total * (round + 1)) / rounds) - firstStep };
    },
  };
}
