/** The kinds of storage of a state. The contract suites of coordinator/storage run on each of them. */
import { randomUUID } from "node:crypto";
import { pathToFileURL } from "node:url";
import { openState } from "../../coordinator/storage/open.js";
import type { State } from "../../coordinator/storage/types.js";
import { temporaryFolder } from "./federation.js";

const PLACES: Readonly<Record<string, () => { url: string; remove(): void }>> = {
  "a folder": () => {
    const folder = temporaryFolder();
    return { url: pathToFileURL(folder.path).href, remove: folder.remove };
  },
  memory: () => ({ url: `memory:${randomUUID()}`, remove: () => undefined }),
};

/** A state that a suite opens once and closes at its end. */
export class TestState {
  private opened: State | undefined;

  constructor(readonly url: string) {}

  get now(): State {
    if (this.opened === undefined) throw new Error("the state is closed");
    return this.opened;
  }

  async open(): Promise<State> {
    this.opened = await openState(this.url);
    return this.opened;
  }

  async close(): Promise<void> {
    await this.opened?.close();
    this.opened = undefined;
  }

  /** The state for the next process. */
  async reopened(): Promise<State> {
    await this.close();
    return this.open();
  }
}

/** Calls `suite` once per kind. `before` and `after` of the suite open and remove the state. */
export function inEachPlace(suite: (place: string, state: TestState, remove: () => Promise<void>) => void): void {
  for (const [place, make] of Object.entries(PLACES)) {
    const { url, remove } = make();
    const state = new TestState(url);
    suite(place, state, async () => {
      await state.close();
      remove();
    });
  }
}
