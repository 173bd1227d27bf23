/** Peers in Python: they run where KINDRED_PYTHON names a Python that has them; elsewhere a note says that they are skipped. */
import { execFile } from "node:child_process";
import { cpus } from "node:os";
import { promisify } from "node:util";
import { asset } from "../../shared/base/assets.js";

export interface PeerFigures {
  readonly seconds: number;
  /** Seconds of each variant. */
  readonly all?: Readonly<Record<string, number>>;
  readonly peakRssBytes?: number;
  readonly method?: string;
  readonly torch?: string;
  /** Objective reached by a solver. */
  readonly objective?: number;
  /** Name and versions of a peer other than PyTorch. */
  readonly peer?: string;
}

/** @param script under peers/; its last line of output is JSON. @returns undefined where it cannot run */
export async function runPeer(
  script: string,
  args: readonly string[],
  print: (line: string) => void,
): Promise<PeerFigures | undefined> {
  const python = process.env.KINDRED_PYTHON ?? "python3";
  try {
    const path = asset("simulations", "benchmarks", "peers", script);
    const { stdout } = await promisify(execFile)(python, [path, ...args, "--threads", String(cpus().length)], {
      maxBuffer: 1 << 20,
    });
    const figures = JSON.parse(stdout.trim().split("\n").at(-1) ?? "{}") as PeerFigures;
    if (typeof figures.seconds !== "number") throw new Error("no figure");
    print(
      `  ${figures.peer ?? `PyTorch ${figures.torch}`}${figures.method ? `, ${figures.method}` : ""}: ${figures.seconds.toFixed(2)} s`,
    );
    return figures;
  } catch (error) {
    const [reason = ""] = String((error as { stderr?: string }).stderr || (error as Error).message)
      .trim()
      .split("\n")
      .slice(-1);
    print(
      `  the peer is not at hand, its ratio is left out (${python}: ${reason}); KINDRED_PYTHON names a Python that has what ${script} imports`,
    );
    return undefined;
  }
}
