/** Damages files like disks, networks and people: bytes flipped, cut, repeated; JSON with values of another kind. */
import type { SeededRng } from "../../shared/base/random.js";

/** Wrong values of a field: wrong kinds, ends of ranges, impossible sizes. */
const ODD: readonly unknown[] = [
  null,
  true,
  -1,
  0,
  0.5,
  1e9,
  2 ** 53,
  1e308,
  "",
  "x",
  "\u0000",
  [],
  {},
  [[]],
  [null],
  { a: {} },
  "A".repeat(10_000),
];

/** A copy with some bytes changed, the end cut off, or a section repeated or left out. */
export function damagedBytes(bytes: Uint8Array, rng: SeededRng): Uint8Array {
  const at = rng.int(bytes.length);
  const length = 1 + rng.int(Math.min(64, bytes.length));
  switch (rng.int(5)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return Buffer.concat([bytes.subarray(0, at + length), bytes.subarray(at)]);
    case 2:
      return Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + length)]);
    default: {
      // The important bytes are mostly in front: headers, sizes.
      const damaged = Uint8Array.from(bytes);
      const front = rng.int(2) === 0 ? Math.min(bytes.length, 512) : bytes.length;
      for (let i = 0; i <= rng.int(8); i++) damaged[rng.int(front)] = rng.int(256);
      return damaged;
    }
  }
}

/** A document with one value replaced, or one field removed, at any depth. */
export function damagedJson(text: string, rng: SeededRng): string {
  const document: unknown = JSON.parse(text);
  const places: [holder: Record<string, unknown>, key: string][] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== "object" || value === null) return;
    for (const key of Object.keys(value)) {
      places.push([value as Record<string, unknown>, key]);
      visit((value as Record<string, unknown>)[key]);
    }
  };
  visit(document);
  // Fields near the top are few beside a vocabulary's entries, and more important.
  const shallow = places.filter(([holder]) => holder === document);
  const from = rng.int(2) === 0 ? shallow : places;
  const [holder, key] = from[rng.int(from.length)]!;
  if (rng.int(4) === 0) delete holder[key];
  else holder[key] = ODD[rng.int(ODD.length)];
  return JSON.stringify(document);
}
