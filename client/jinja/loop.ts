/** The variable `loop` inside a loop. */
import { ValueError } from "./errors.js";
import { type Arguments, Attributes, Callable, equals, Tuple, Undefined, type Value } from "./values.js";

export class Loop extends Attributes {
  /** Index of the item at hand. */
  at = 0;
  private before: Tuple | undefined;

  constructor(
    private readonly items: readonly Value[],
    private readonly depth: number,
    /** The loop once more, over other items, where it is recursive. */
    readonly again: ((given: Arguments) => Value) | undefined,
  ) {
    super();
  }

  override get(name: string): Value | undefined {
    const { at, items } = this;
    switch (name) {
      case "first":
        return at === 0;
      case "last":
        return at === items.length - 1;
      case "previtem":
        return at === 0 ? new Undefined("there is no previous item") : items[at - 1]!;
      case "nextitem":
        return at === items.length - 1 ? new Undefined("there is no next item") : items[at + 1]!;
      case "cycle":
        return new Callable("loop.cycle", ({ positional }) => {
          if (positional.length === 0) throw new ValueError("loop.cycle needs items");
          return positional[at % positional.length]!;
        });
      case "changed":
        return new Callable("loop.changed", ({ positional }) => {
          const now = new Tuple(positional);
          const changed = this.before === undefined || !equals(this.before, now);
          this.before = now;
          return changed;
        });
      default:
        return this.count(name);
    }
  }

  private count(name: string): bigint | undefined {
    const { at, items, depth } = this;
    const counts: Readonly<Record<string, number>> = {
      index: at + 1,
      index0: at,
      revindex: items.length - at,
      revindex0: items.length - at - 1,
      length: items.length,
      depth,
      depth0: depth - 1,
    };
    return Object.hasOwn(counts, name) ? BigInt(counts[name]!) : undefined;
  }
}
