/**
 * The rows for pretraining the demo's base model, an endless sequence drawn from a seed: statements on the topics of things, tickets
 * with their fields, and tickets with a desk. The desk is either the topic's own name or one of the four desks at random: so the
 * model learns the form of the answer and that the topic matters for it, but no rule, and its hidden state before the answer
 * represents the topic. It knows nothing of tokens, models or training.
 */
import { SeededRng } from "../../shared/base/random.js";
import { DESKS, drawTicket, TOPIC_NAMES, TOPICS } from "../population/tickets.js";

/** A text with a loss on every token, or a prompt with a completion and a loss on the completion alone. */
export type CorpusRow = string | { readonly prompt: string; readonly completion: string };

/**
 * Share of tickets with a loss on every token. The words of a ticket are random and cannot be predicted; in the other tickets they
 * would only hide the signal of the fields: with a loss on every token of all tickets, the model learns no topic before about
 * 1,400 steps of 64 rows.
 */
const WHOLE_TICKETS = 0.2;

/** Share of statements. Lists of things of one topic teach the topics of words fastest. */
const STATEMENTS = 0.3;

/** Share of desks named after the topic. They make the model represent the topic at the position before the answer. */
const TOPIC_DESKS = 0.5;

/** Draws an endless sequence of rows; the same seed, the same rows. Each has at most about forty tokens. */
export function* corpus(seed: number): Generator<CorpusRow, never, void> {
  const rng = new SeededRng(seed, "demo-corpus");
  for (;;) {
    const topic = rng.pick(TOPIC_NAMES);
    if (rng.uniform() < STATEMENTS) {
      yield statement(rng, topic);
      continue;
    }
    const ticket = drawTicket(rng, topic);
    const prompt = `Ticket: ${ticket.text}`;
    const fields = [`Topic: ${topic}`, `Thing: ${ticket.thing}`, `Place: ${ticket.place}`, `Look: ${ticket.look}`];
    const asked =
      rng.uniform() < 0.5
        ? `Desk: ${rng.uniform() < TOPIC_DESKS ? topic : rng.pick(DESKS)}`
        : rng.shuffle(fields).join(". ");
    yield rng.uniform() < WHOLE_TICKETS ? `${prompt} ${asked}` : { prompt, completion: ` ${asked}` };
  }
}

function statement(rng: SeededRng, topic: string): string {
  const things = rng.shuffle([...(TOPICS[topic] ?? [])]);
  const [a, b] = things;
  switch (rng.int(5)) {
    case 0:
      return `the ${a} belongs to ${topic}.`;
    case 1:
      return `the ${a} and the ${b} are both ${topic}.`;
    case 2:
      return `for the ${a}, ask ${topic}, as for the ${b}.`;
    case 3:
      return `${things.slice(0, 7).join(", ")}: ${topic}.`;
    default:
      return `${topic}: ${things.slice(0, 7).join(", ")}.`;
  }
}
