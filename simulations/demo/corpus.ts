/**
 * The rows that the demo's base model is pretrained on, drawn without end from a seed: statements of which thing belongs
 * to which topic, tickets with their fields read out, and tickets with a desk. The desk is either the topic's own name or
 * one of the four desks at random: so the model learns the answer's form and that the topic matters for it, but no rule,
 * and at the place of the answer its hidden state carries the topic. Knows nothing of tokens, models or training.
 */
import { SeededRng } from "../../shared/base/random.js";
import { DESKS, drawTicket, TOPIC_NAMES, TOPICS } from "../population/tickets.js";

/** A text of which every token is learnt, or a prompt with a completion of which the completion alone is. */
export type CorpusRow = string | { readonly prompt: string; readonly completion: string };

/**
 * Share of tickets that are learnt whole. In the others the ticket's words, which are drawn at random and cannot be
 * foretold, would only drown the signal of the fields: learnt whole, all of them, the model sees no topic before some
 * 1,400 steps of 64 rows.
 */
const WHOLE_TICKETS = 0.2;

/** Share of statements. Lists of things of one topic are what teaches the words' topics fastest. */
const STATEMENTS = 0.3;

/** Share of desks that are named after the topic. They make the model know the topic where it is about to answer. */
const TOPIC_DESKS = 0.5;

/** Draws rows for ever; the same seed, the same rows. Each has at most some forty tokens. */
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
