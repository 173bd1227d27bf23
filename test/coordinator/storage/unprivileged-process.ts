/** Reads and opens a state as a user who is not root, and prints what came of it. Gives up its rights once all code is loaded. */
import { openState, readState } from "../../../coordinator/storage/open.js";
import { KindredError } from "../../../shared/base/errors.js";

const folder = process.argv[2] ?? "";
if (process.getuid?.() === 0) {
  process.setgid?.(65_534);
  process.setuid?.(65_534);
}
const reader = await readState(folder);
const value = await reader.records.memo("value");
await reader.close();
try {
  await (await openState(folder)).close();
  console.log(JSON.stringify([value, "opened"]));
} catch (error) {
  if (!(error instanceof KindredError)) throw error;
  console.log(JSON.stringify([value, error.code, error.message.split(";")[0]]));
}
