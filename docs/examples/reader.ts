/** A file format of your own: tab-separated values, one prompt and its completion per line. */
import { fileURLToPath } from "node:url";
import { DEMO_MODEL, defineReader, readLines, simulate } from "kindred";

defineReader({
  name: "tsv",
  extensions: [".tsv", ".tsv.gz"],
  async *read(path, { maxRowBytes }) {
    // readLines unpacks gzip, refuses text that is not UTF-8, and holds one line at a time.
    for await (const { number, text } of readLines(path, maxRowBytes)) {
      const [prompt, completion] = text.split("\t");
      // A row with a missing field is refused by file and line, as in any other format.
      if (text !== "") yield { line: number, value: { prompt, completion } };
    }
  },
});

/** A folder beside this program. */
const folder = (name: string): string => fileURLToPath(new URL(`reader/${name}`, import.meta.url));

// From here on, the folders of a population may hold train.tsv, validation.tsv and test.tsv.
const report = await simulate({
  model: DEMO_MODEL,
  population: [
    { name: "harbour", data: folder("harbour") },
    { name: "castle", data: folder("castle") },
  ],
  training: { epochs: 2, learningRate: 0.03 },
  compare: ["base"],
});
console.log(report.groups, report.methods.base?.mean.loss, report.methods.kindred?.mean.loss);
