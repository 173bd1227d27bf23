/** A program: writes docs/configuration.md, as the schema gives it. With --check it writes nothing and fails where the file differs. */
import { readFileSync, writeFileSync } from "node:fs";
import { asset } from "../base/assets.js";
import { configurationPage } from "./documentation.js";

const path = "docs/configuration.md";

function current(): string {
  try {
    return readFileSync(asset(path), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return "";
    throw error;
  }
}

const wanted = configurationPage();
if (!process.argv.includes("--check")) {
  writeFileSync(asset(path), wanted);
} else if (wanted !== current()) {
  process.stderr.write(`${path}: differs from the schema; run npm run build && node dist/shared/config/generate.js\n`);
  process.exitCode = 1;
}
