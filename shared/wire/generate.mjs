// Generates shared/wire/gen from proto/. `node shared/wire/generate.mjs` writes; with --check it writes nothing and fails
// where the committed files differ from what the .proto files give.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = join(dirname(fileURLToPath(import.meta.url)), "..", "..");
const target = join(root, "shared", "wire", "gen");
const check = process.argv.includes("--check");
const out = check ? mkdtempSync(join(tmpdir(), "kindred-gen-")) : target;
const loader = dirname(createRequire(import.meta.url).resolve("@grpc/proto-loader/package.json"));

const files = (folder) =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((name) => statSync(join(folder, name)).isFile())
        .sort()
    : [];

if (!check) rmSync(target, { recursive: true, force: true });
const protos = files(join(root, "proto")).filter((name) => name.endsWith(".proto"));
// The options must be those with which shared/wire/services.ts loads the same files.
const options = ["--longs=String", "--enums=String", "--defaults", "--oneofs", "--grpcLib=@grpc/grpc-js"];
const generator = [join(loader, "build", "bin", "proto-loader-gen-types.js"), ...options, "--importFileExtension=.js"];
const run = spawnSync(process.execPath, [...generator, "-I", "proto", "-O", out, ...protos], {
  cwd: root,
  stdio: "inherit",
});
if (run.status !== 0) process.exit(run.status ?? 1);

if (check) {
  const names = new Set([...files(out), ...files(target)]);
  const content = (folder, name) => (existsSync(join(folder, name)) ? readFileSync(join(folder, name), "utf8") : "");
  const differing = [...names].filter((name) => content(out, name) !== content(target, name));
  rmSync(out, { recursive: true, force: true });
  if (differing.length > 0) {
    console.error(
      `${relative(root, target)} differs from proto/: ${differing.join(", ")}; run node shared/wire/generate.mjs`,
    );
    process.exit(1);
  }
}
