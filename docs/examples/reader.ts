/**
 * A format of files of your own: tab-separated values, a prompt and its completion per line. Run with your data:
 *
 *     node reader.ts simulate.yaml runs/mine
 */
import { defineReader, readLines, simulate } from "kindred";

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

// From here on, folders and files in simulate.yaml's `population` may hold train.tsv, validation.tsv and test.tsv.
const [config = "simulate.yaml", out = "runs/tsv"] = process.argv.slice(2);
await simulate(config, { out });
