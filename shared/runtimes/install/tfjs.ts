/**
 * TensorFlow.js on a current TensorFlow. The npm package @tensorflow/tfjs-node downloads libtensorflow 2.9 (CUDA 11) from
 * outside the npm registry when it is installed; but its binding is two C++ files, which compile in seconds against the
 * libraries of the Python wheel. The result is a folder of Kindred's own:
 *
 *     node_modules/                    what npm brings, without install scripts, and the compiled binding in it
 *     tensorflow/libtensorflow_*.so.2  from the wheel
 *     nvidia/                          CUDA's libraries, where TensorFlow looks for them
 */
import { existsSync } from "node:fs";
import { rm, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import type { JobContext } from "../../base/command.js";
import { KindredError } from "../../base/errors.js";
import { makeFolder } from "../../base/folders.js";
import { BINDING, NAPI, TFJS_PACKAGES, TFJS_VERSION } from "./installed.js";
import { hostPlatform, type PackageIndex, type Platform } from "./package-index.js";
import { downloadFolder, installFolder, type Manifest, readManifest } from "./store.js";
import { runTool } from "./tools.js";
import { fetchNvidiaWheels, fetchWheel, nvidiaLibrary, unpackWheel } from "./wheels.js";

/** The version that is known to work with `TFJS_VERSION`; TensorFlow keeps its C API stable within 2.x. */
const TENSORFLOW = "2.21.0";
/** The headers of Node-API, which a machine with node need not have. */
const NODE_HEADERS = "1.9.0";

const LIBRARIES = ["libtensorflow_cc.so.2", "libtensorflow_framework.so.2"];
/** What the binding includes, and what that includes: 13 files of the wheel's 12,000 headers. */
const HEADERS =
  /^tensorflow\/include\/((?:tensorflow\/c|tensorflow\/core\/platform|tsl\/platform|xla\/tsl\/c)\/.*\.h)$/;

const TRIAL_TIMEOUT_MS = 120_000;

type Variant = Manifest["variant"];

/** Adds TensorFlow.js in one of its variants, in place of the other. Under the lock of the store. */
export async function addTfjs(
  variant: Variant,
  index: PackageIndex,
  cache: string,
  context: JobContext,
): Promise<Manifest> {
  const platform = hostPlatform("tfjs on TensorFlow");
  const wheelName = wheelFor(variant, platform);
  const there = readManifest("tfjs", cache);
  if (there?.versions[wheelName] === TENSORFLOW && there.versions[TFJS_PACKAGES[variant]] === TFJS_VERSION)
    return there;

  const { signal } = context;
  const compiler = process.env.CXX || "g++";
  // Before the download: what is missing on the machine.
  await runTool(compiler, ["--version"], {
    signal,
    missing:
      "it compiles the binding of tfjs-node; install it (Debian, Ubuntu: apt install g++; Fedora: dnf install gcc-c++), or " +
      "name another C++ compiler in CXX",
  });
  await runTool("npm", ["--version"], { signal, missing: "it brings @tensorflow/tfjs-node; it comes with node" });

  return await installFolder("tfjs", cache, async (folder) => {
    const downloads = downloadFolder("tfjs", cache);
    const requirement = { name: wheelName, specifiers: [{ operator: "==", version: TENSORFLOW }] };
    const wheel = await fetchWheel(index, requirement, platform, downloads, context);
    const cuda =
      variant === "gpu"
        ? await fetchNvidiaWheels(index, wheel, ["and-cuda"], { platform, folder: downloads, context })
        : [];
    await unpackWheel(wheel, folder, partOfTensorflow, context);
    for (const library of cuda) await unpackWheel(library, folder, nvidiaLibrary, context);

    const stage = context.progress.stage("npm packages, compiling, trial", 3);
    await npmInstall(folder, TFJS_PACKAGES[variant], signal);
    stage.tick();
    await compile(compiler, folder, TFJS_PACKAGES[variant], signal);
    stage.tick();
    await rm(join(folder, "include"), { recursive: true });
    await tryOut(join(folder, "node_modules", TFJS_PACKAGES[variant]), signal);
    stage.tick();
    stage.done();
    const versions = Object.fromEntries([wheel, ...cuda].map(({ name, version }) => [name, version]));
    return { variant, versions: { ...versions, [TFJS_PACKAGES[variant]]: TFJS_VERSION }, links: [] };
  });
}

function wheelFor(variant: Variant, { architecture }: Platform): string {
  if (architecture === "x86_64") return variant === "gpu" ? "tensorflow" : "tensorflow-cpu";
  if (variant === "cpu") return "tensorflow";
  throw new KindredError(
    "unsupported",
    `tensorflow has no wheel with CUDA for ${architecture}; add tfjs without --gpu`,
  );
}

function partOfTensorflow(member: string): string | undefined {
  const header = HEADERS.exec(member)?.[1];
  if (header !== undefined) return `include/${header}`;
  return LIBRARIES.some((file) => member === `tensorflow/${file}`) ? member : undefined;
}

async function npmInstall(folder: string, name: string, signal: AbortSignal): Promise<void> {
  await writeFile(join(folder, "package.json"), `${JSON.stringify({ private: true })}\n`);
  // The variables of an npm that runs us (npx) would name its project as the place to install to.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([key]) => !/^npm_(config_(local_prefix|prefix|global)|package_)/i.test(key)),
  );
  const packages = [`${name}@${TFJS_VERSION}`, `node-api-headers@${NODE_HEADERS}`];
  const flags = ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", "--loglevel=error"];
  await runTool("npm", ["install", "--prefix", folder, ...flags, ...packages], { cwd: folder, env, signal });
}

async function compile(compiler: string, folder: string, name: string, signal: AbortSignal): Promise<void> {
  const modules = join(folder, "node_modules");
  const source = join(modules, name, "binding");
  const binding = join(modules, name, BINDING);
  const target = dirname(binding);
  makeFolder(target);
  const libraries = join(folder, "tensorflow");
  const includes = [join(modules, name, ".."), join(folder, "include"), join(modules, "node-api-headers", "include")];
  await runTool(
    compiler,
    [
      ...["-std=c++17", "-O2", "-shared", "-fPIC", `-DNAPI_VERSION=${NAPI}`],
      ...includes.map((path) => `-I${path}`),
      ...["tfjs_backend.cc", "tfjs_binding.cc"].map((file) => join(source, file)),
      ...["-o", binding, `-L${libraries}`, ...LIBRARIES.map((file) => `-l:${file}`)],
      // Relative, so that the folder can be renamed.
      `-Wl,-rpath,$ORIGIN/${relative(target, libraries)}`,
    ],
    { signal },
  );
}

/** Loads it and multiplies two matrices, in a process of its own: a library that does not fit may end the process. */
async function tryOut(path: string, signal: AbortSignal): Promise<void> {
  const trial = fileURLToPath(new URL("./trial.js", import.meta.url));
  if (!existsSync(path)) throw new KindredError("internal", `npm did not bring ${path}`);
  await runTool(process.execPath, [trial, path], {
    env: { ...process.env, TF_CPP_MIN_LOG_LEVEL: "3" },
    signal,
    timeoutMs: TRIAL_TIMEOUT_MS,
  });
}
