/** The state's side of a coordinator: holds the lease, and writes a memo, a blob and an event per line of its input. */
import { createInterface } from "node:readline";
import { openState } from "../../coordinator/storage/open.js";
import { bytesOf } from "./federation.js";

const { records, blobs, close } = await openState(process.argv[2] ?? "");
console.log("open");
for await (const value of createInterface({ input: process.stdin })) {
  const ref = await blobs.put(bytesOf(1_000, value));
  await records.appendEvents([{ key: value, at: 0, json: JSON.stringify(ref) }]);
  await records.saveMemo("value", value);
  console.log(value);
}
await close();
