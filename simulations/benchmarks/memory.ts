/**
 * Accuracy of the planned memory (client/tuning/memory.ts): the peak resident set of a process that does one thing, with mapped
 * weights, against the plan.
 */
import { inChildProcess } from "./child-process.js";
import type { MemoryCase, MemoryFigures } from "./memory-child.js";
import { SHAPE_37M, SMOLLM2_135M, withRandomModel } from "./shape.js";

const SIZES = [
  { batch: 8, length: 64 },
  { batch: 4, length: 64 },
  { batch: 1, length: 512 },
];

export async function benchMemory(print: (line: string) => void): Promise<void> {
  for (const [name, shape] of [
    ["135M", SMOLLM2_135M],
    ["37M", SHAPE_37M],
  ] as const) {
    await withRandomModel(async ({ folder }) => {
      for (const work of ["training", "checkpointed", "scoring", "sketching"] as const) {
        for (const size of SIZES) {
          const given: MemoryCase = { model: folder.path, work, ...size };
          const { predicted, measured } = await inChildProcess<MemoryFigures>("./memory-child.js", given);
          const mib = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;
          print(
            `  ${name}, ${work}, ${size.batch} x ${size.length}: predicted ${mib(predicted)}, measured ${mib(measured)}, ratio ${(predicted / measured).toFixed(2)}`,
          );
        }
      }
    }, shape);
  }
}
