/** Watches processes with strace: which files they write, what they connect to and listen on. Linux alone. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";

/** Why processes cannot be watched here; false where they can. */
export function cannotWatch(): string | false {
  if (process.platform !== "linux") return "strace is for Linux";
  const { error, status, stderr } = spawnSync("strace", ["-qq", "-o", "/dev/null", "true"], { encoding: "utf8" });
  if (error !== undefined) return "strace is not installed (apt-get install strace)";
  return status !== 0 && `strace may not watch processes here: ${stderr.trim()}`;
}

/** A home of its own and empty, away from CI: as a user's first run has it. */
export interface CleanHome {
  readonly env: Readonly<Record<string, string>>;
  /** `env` cannot unset: these words do, in front of a program. */
  readonly unset: readonly string[];
  /** Holds all of the home's folders. */
  readonly home: string;
  readonly tmp: string;
  /** Kindred's own. */
  readonly cache: string;
}

const XDG = ["CACHE_HOME", "CONFIG_HOME", "DATA_HOME", "STATE_HOME", "RUNTIME_DIR"] as const;

export function cleanHome(folder: string): CleanHome {
  const home = join(folder, "home");
  const tmp = join(folder, "tmp");
  const xdg = XDG.map((name) => [`XDG_${name}`, join(home, `xdg-${name.toLowerCase().replace("_", "-")}`)] as const);
  for (const made of [home, tmp, ...xdg.map(([, path]) => path)]) mkdirSync(made, { recursive: true });
  const gone = ["CI", "ORT_DISABLE_TELEMETRY", "KINDRED_CACHE", "HF_TOKEN", "NODE_V8_COVERAGE", "NODE_COMPILE_CACHE"];
  return {
    // What goes through io_uring is no system call.
    env: { ...Object.fromEntries(xdg), HOME: home, TMPDIR: tmp, UV_USE_IO_URING: "0" },
    unset: ["env", ...gone.flatMap((name) => ["-u", name])],
    home,
    tmp,
    cache: join(home, "xdg-cache-home", "kindred"),
  };
}

/** Words that start a program and watch it with all its threads and children. Traces go to files of `folder`, which is made. */
export function watching(folder: string): readonly string[] {
  mkdirSync(folder, { recursive: true });
  const trace = ["-e", "trace=%file,%network", "-s", "1000", "-yy"];
  return ["strace", "-ff", "-qq", ...trace, "-o", join(folder, "trace")];
}

/** What watched processes did, each thing once. Addresses are HOST:PORT, or the path of a socket. */
export interface Deeds {
  /** Paths of files and folders that were made, opened to write, renamed, removed or given other rights; attempts too. */
  readonly written: ReadonlySet<string>;
  readonly connected: ReadonlySet<string>;
  readonly listened: ReadonlySet<string>;
  /** Sockets for datagrams: name look-ups use them. */
  readonly datagrams: ReadonlySet<string>;
}

const CHANGES =
  /^(creat|mkdir|mkdirat|mknod|mknodat|rename|renameat2?|link|linkat|symlink|symlinkat|unlink|unlinkat|rmdir|truncate|chmod|fchmodat2?|l?chown|fchownat|utimes?|utimensat|futimesat|l?setxattr|l?removexattr)$/;

/** The deeds in the traces of `folder`. @param cwd folder in which all watched processes were started */
export function deedsIn(folder: string, cwd: string): Deeds {
  const deeds = {
    written: new Set<string>(),
    connected: new Set<string>(),
    listened: new Set<string>(),
    datagrams: new Set<string>(),
  };
  for (const name of readdirSync(folder)) {
    for (const line of readFileSync(join(folder, name), "utf8").split("\n")) {
      const call = /^(\w+)\(/.exec(line)?.[1];
      if (call === undefined) continue;
      if (call === "chdir") throw new Error(`${line}: paths of this process are not known`);
      const opensToWrite = /^open(at2?)?$/.test(call) && /O_(WRONLY|RDWR|CREAT|TRUNC)/.test(line);
      if (opensToWrite || CHANGES.test(call)) for (const path of pathsOf(line, cwd)) deeds.written.add(path);
      if (call === "connect" || call.startsWith("send")) for (const to of addressesOf(line)) deeds.connected.add(to);
      if (call === "listen") deeds.listened.add(/^listen\(\d+<\w+:\[(.*?)\]>/.exec(line)?.[1] ?? line);
      if (call === "socket" && /^socket\(AF_INET6?, SOCK_DGRAM/.test(line)) deeds.datagrams.add(line);
    }
  }
  return deeds;
}

function pathsOf(line: string, cwd: string): string[] {
  const given = line.matchAll(/(?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"((?:[^"\\]|\\.)*)"/g);
  return [...given].map(([, folder = cwd, path = ""]) => resolve(folder, path));
}

function addressesOf(line: string): string[] {
  const four = [...line.matchAll(/sin_port=htons\((\d+)\), sin_addr=inet_addr\("([^"]*)"\)/g)];
  const six = [...line.matchAll(/sin6_port=htons\((\d+)\).*?inet_pton\(AF_INET6, "([^"]*)"/g)];
  const paths = [...line.matchAll(/sun_path=@?"([^"]*)"/g)];
  return [
    ...four.map(([, port, host]) => `${host}:${port}`),
    ...six.map(([, port, host]) => `[${host}]:${port}`),
    ...paths.map(([, path]) => path as string),
  ];
}
