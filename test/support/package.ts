/** Kindred as a user installs it: packed, and installed from the npm registry in an empty project in another folder. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { asset } from "../../shared/base/assets.js";

export interface Output {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface InstalledProject {
  readonly folder: string;
  /** npm's output of the installation. */
  readonly installation: string;
  /** Runs `npx kindred` with these words. */
  kindred(...args: readonly string[]): Output;
  /** Writes a file of the project. @returns its path */
  write(name: string, text: string): string;
  /** Runs a program of the project: JavaScript directly, TypeScript after `compile`. */
  run(name: string, ...args: readonly string[]): Output;
  /** Type-checks and compiles a TypeScript file, with the declarations of all its imports. */
  compile(name: string): Output;
  remove(): void;
}

/** Long enough for 150 MB from a slow registry. */
const INSTALL_MS = 300_000;

/**
 * The environment of a user: this one with npm's own configuration (registry, cache, certificates), without npm's variables for
 * the scripts of this project, and without this project's refusal of install scripts.
 */
function userEnvironment(): NodeJS.ProcessEnv {
  const ours = /^npm_(config_(local_prefix|prefix|global|ignore_scripts)$|package_|lifecycle_|command$)/i;
  return Object.fromEntries(Object.entries(process.env).filter(([key]) => !ours.test(key) && key !== "INIT_CWD"));
}

function call(command: string, args: readonly string[], cwd: string, timeout = 120_000): Output {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    env: userEnvironment(),
    encoding: "utf8",
    timeout,
  });
  return { code: status, stdout, stderr: error === undefined ? stderr : `${stderr}${error.message}` };
}

/** The reason why no registry is available; false where one answers. */
export function noRegistry(): string | false {
  const args = ["view", "onnxruntime-node", "version", "--prefer-online", "--fetch-retries=0", "--fetch-timeout=20000"];
  const { code, stderr } = call("npm", args, tmpdir(), 60_000);
  return code !== 0 && `no npm registry is reachable: ${stderr.trim().split("\n")[0]}`;
}

/** The README's line that installs Kindred, as words. */
export function installCommand(): readonly string[] {
  const section = /^## Install\n([\s\S]*?)^## /m.exec(readFileSync(asset("README.md"), "utf8"))?.[1] ?? "";
  const line = /^```sh\n(npm install .*)$/m.exec(section)?.[1];
  if (line === undefined) throw new Error("README.md: the section Install has no line that begins with npm install");
  return line.split(" ");
}

/** Packs this clone, which must be built, and installs the tarball with the README's command. */
export function installPackage(): InstalledProject {
  const folder = mkdtempSync(join(tmpdir(), "kindred-package-"));
  const packed = call("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], asset());
  if (packed.code !== 0) throw new Error(`npm pack: ${packed.stderr}`);
  const { name, version } = JSON.parse(readFileSync(asset("package.json"), "utf8")) as Record<string, string>;
  const project = join(folder, "project");
  const write = (file: string, text: string): string => {
    const path = join(project, file);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return path;
  };
  write("package.json", JSON.stringify({ name: "empty-project", private: true, type: "module" }));
  const tarball = `${name}-${version}.tgz`;
  const given = installCommand();
  if (!given.includes(`PATH/${tarball}`)) throw new Error(`README.md: ${given.join(" ")} does not install ${tarball}`);
  const [npm, ...words] = given.map((word) => (word === `PATH/${tarball}` ? join("..", tarball) : word));
  const { code, stdout, stderr } = call(npm as string, words, project, INSTALL_MS);
  if (code !== 0) throw new Error(`${[npm, ...words].join(" ")}: ended with ${code}: ${stdout}${stderr}`);
  return {
    folder: project,
    installation: stdout + stderr,
    write,
    kindred: (...args) => call("npx", ["--no-install", "kindred", ...args], project),
    run: (file, ...args) => call(process.execPath, [file.replace(/\.ts$/, ".js"), ...args], project),
    compile: (file) => compile(project, file, write),
    remove: () => rmSync(folder, { recursive: true, force: true }),
  };
}

/** Uses this clone's compiler and types of node, which the empty project does not have. */
function compile(project: string, file: string, write: InstalledProject["write"]): Output {
  const compilerOptions = {
    target: "ES2023",
    module: "NodeNext",
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    types: ["node"],
    typeRoots: [asset("node_modules", "@types")],
  };
  write("tsconfig.json", JSON.stringify({ compilerOptions, files: [file] }));
  const compiler = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin", "tsc");
  return call(process.execPath, [compiler, "-p", "tsconfig.json"], project);
}
