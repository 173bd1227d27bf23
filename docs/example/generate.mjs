/**
 * Writes the sites of the example, or checks them (`--check`): `npm run build && node docs/example/generate.mjs`. Six sites sort
 * tickets to two desks, by two rules that contradict each other: harbour, ferry and pier by one, meadow, orchard and mill by the other.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { plantedPopulation } from "../../dist/simulations/population/planted.js";

const SITES = { harbour: ["harbour", "ferry", "pier"], meadow: ["meadow", "orchard", "mill"] };

const folder = join(dirname(fileURLToPath(import.meta.url)), "sites");
const { clients } = plantedPopulation({ seed: 0, groupSizes: [3, 3], train: 24, validation: 12, test: 50 });
const old = [];
for (const { client, group, ...splits } of clients) {
  const site = SITES[group][Number(client.slice(-2)) - 1];
  for (const [split, rows] of Object.entries(splits)) {
    const path = join(folder, site, `${split}.jsonl`);
    const text = rows.map((row) => `${JSON.stringify(row)}\n`).join("");
    if (!process.argv.includes("--check")) {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, text);
    } else if (readFileSync(path, "utf8") !== text) old.push(path);
  }
}
if (old.length > 0) {
  console.error(`not what docs/example/generate.mjs writes: ${old.join(", ")}`);
  process.exit(1);
}
