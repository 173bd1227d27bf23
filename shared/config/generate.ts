/**
 * A program: writes docs/configuration.md and the README's table of options, as the schema gives them. With --check it writes
 * nothing and fails where a file differs.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { asset } from "../base/assets.js";
import { configurationPage, withReadmeTable } from "./documentation.js";

function read(path: string): string {
  try {
    return readFileSync(asset(path), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

const wanted = new Map([
  ["README.md", withReadmeTable(read("README.md"))],
  ["docs/configuration.md", configurationPage()],
]);
const differing = [...wanted].filter(([path, text]) => text !== read(path));
if (!process.argv.includes("--check")) {
  for (const [path, text] of differing) writeFileSync(asset(path), text);
} else if (differing.length > 0) {
  const paths = differing.map(([path]) => path).join(", ");
  process.stderr.write(`${paths}: differs from the schema; run npm run build && node dist/shared/config/generate.js\n`);
  process.exitCode = 1;
}
