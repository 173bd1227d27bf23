/** The CUDA provider from hand-made wheels, beside an ONNX Runtime that is a folder: added, found there, and taken away. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { copyFile, lstat, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, test } from "node:test";
import type { JobContext } from "../../../../shared/base/command.js";
import { silentLog } from "../../../../shared/base/log.js";
import { silentProgress } from "../../../../shared/base/progress.js";
import { addCuda } from "../../../../shared/runtimes/install/cuda.js";
import { hasCudaProvider } from "../../../../shared/runtimes/install/installed.js";
import { PackageIndex } from "../../../../shared/runtimes/install/package-index.js";
import { addable, addedRuntimes, removeRuntime, statusText } from "../../../../shared/runtimes/install/runtimes.js";
import { WheelServer } from "../../../support/wheel-server.js";
import { zipOf } from "../../../support/zip.js";

const skip =
  `${process.platform}-${process.arch}` !== "linux-x64" && "the CUDA provider can be added on Linux with x64 alone";
const context = (): JobContext => ({ log: silentLog, progress: silentProgress, signal: new AbortController().signal });

/** A wheel with libraries and what it requires. */
function wheel(
  name: string,
  version: string,
  libraries: Readonly<Record<string, string>>,
  requires: readonly string[] = [],
) {
  const metadata = ["Metadata-Version: 2.1", ...requires.map((text) => `Requires-Dist: ${text}`), "", "About it."].join(
    "\n",
  );
  const members = { ...libraries, "nvidia/__init__.py": "", [`${name}-${version}.dist-info/METADATA`]: metadata };
  return {
    file: `${name}-${version}-py3-none-manylinux_2_17_x86_64.whl`,
    content: zipOf(Object.entries(members).map(([name, content]) => ({ name, content }))),
  };
}

const PROVIDERS = {
  "onnxruntime/capi/libonnxruntime_providers_shared.so": "shared",
  "onnxruntime/capi/libonnxruntime_providers_cuda.so": "cuda",
  "onnxruntime/capi/libonnxruntime_providers_tensorrt.so": "not needed",
};
const EXTRAS = ["numpy>=1.21", 'nvidia-cudnn-cu13~=9.0; extra == "cudnn"', 'nvidia-other~=1.0; extra == "symbolic"'];
const wheels = () => [
  wheel("onnxruntime_gpu", "1.2.3", PROVIDERS, EXTRAS),
  wheel("onnxruntime_gpu", "1.2.4", PROVIDERS, EXTRAS),
  wheel("onnxruntime_gpu", "1.2.5", { "onnxruntime/capi/libonnxruntime_providers_shared.so": "shared" }),
  wheel("nvidia_cudnn_cu13", "9.2.0", { "nvidia/cudnn/lib/libcudnn.so.9": "dnn", "nvidia/cudnn/include/cudnn.h": "" }, [
    "nvidia-cublas",
  ]),
  wheel("nvidia_cudnn_cu13", "10.0.0", { "nvidia/cudnn/lib/libcudnn.so.10": "too new" }),
  wheel("nvidia_cublas", "13.1", { "nvidia/cu13/lib/libcublas.so.13": "blas" }),
];

let folder: string;
let cache: string;
let libraries: string;
let server: WheelServer;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindred-cuda-"));
  cache = join(folder, "cache");
  libraries = join(folder, "onnxruntime-node", "bin");
  await mkdir(libraries, { recursive: true });
  await writeFile(join(libraries, "libonnxruntime.so.1"), "npm's own");
  server = await WheelServer.start(wheels());
});
afterEach(async () => {
  await server.stop();
  await rm(folder, { recursive: true });
});

const add = (version = "1.2.3", into = libraries) =>
  addCuda(new PackageIndex({ index: server.index }), cache, context(), { version, libraries: into });
const fetched = (): string[] => server.requests.filter((request) => !request.startsWith("page"));

test("the provider of the same version comes with the libraries it needs, and goes without a trace", {
  skip,
}, async () => {
  assert.equal(hasCudaProvider({ version: "1.2.3", libraries }), false);
  const manifest = await add();
  assert.deepEqual(manifest.versions, {
    "onnxruntime-gpu": "1.2.3",
    "nvidia-cudnn-cu13": "9.2.0",
    "nvidia-cublas": "13.1",
  });
  assert.equal(await readFile(join(libraries, "libonnxruntime_providers_cuda.so"), "utf8"), "cuda");
  assert.equal(await readFile(join(libraries, "libonnxruntime_providers_shared.so"), "utf8"), "shared");
  assert.ok(hasCudaProvider({ version: "1.2.3", libraries }));
  const home = join(cache, "runtimes", "cuda");
  assert.equal(await readFile(join(home, "nvidia", "cu13", "lib", "libcublas.so.13"), "utf8"), "blas");
  assert.deepEqual((await readdir(join(home, "nvidia", "cudnn"))).sort(), ["lib"]);
  assert.match(statusText(addedRuntimes(cache)[0]!), /^cuda {2}gpu, .*onnxruntime-gpu 1\.2\.3/s);

  assert.equal(await removeRuntime("cuda", undefined, cache), true);
  assert.deepEqual(await readdir(libraries), ["libonnxruntime.so.1"]);
  assert.deepEqual(await readdir(join(cache, "runtimes")), []);
  assert.equal(await removeRuntime("cuda", undefined, cache), false);
  assert.equal(addedRuntimes(cache)[0]!.added, false);
});

test("a second call fetches nothing, links what npm has wiped, and serves another project", { skip }, async () => {
  await add();
  const count = fetched().length;
  await rm(join(libraries, "libonnxruntime_providers_cuda.so"));
  const other = join(folder, "other");
  await mkdir(other);
  await add();
  await add("1.2.3", other);
  assert.equal(fetched().length, count);
  for (const place of [libraries, other])
    assert.equal(await readFile(join(place, "libonnxruntime_providers_cuda.so"), "utf8"), "cuda");
  await removeRuntime("cuda", undefined, cache);
  assert.deepEqual([await readdir(libraries), await readdir(other)], [["libonnxruntime.so.1"], []]);
});

test("another version of ONNX Runtime gets its own provider, by the same links", { skip }, async () => {
  await add();
  const manifest = await add("1.2.4");
  assert.equal(manifest.versions["onnxruntime-gpu"], "1.2.4");
  assert.equal(manifest.links.length, 2);
});

test("a library that somebody else put there is neither replaced nor removed", { skip }, async () => {
  const path = join(libraries, "libonnxruntime_providers_cuda.so");
  await writeFile(path, "npm's install script");
  await assert.rejects(add(), { code: "already_exists", message: /Kindred did not put it there.*move it away/ });
  assert.deepEqual(fetched(), [], "found before the download");
  await rm(path);
  await add();
  await rm(path);
  await writeFile(path, "npm's install script");
  await removeRuntime("cuda", undefined, cache);
  assert.equal(await readFile(path, "utf8"), "npm's install script");
});

test("an attempt that fails leaves nothing in place and keeps its downloads for the next", { skip }, async () => {
  await assert.rejects(add("1.2.5"), {
    code: "not_found",
    message: /onnxruntime_gpu-1\.2\.5.* does not have libonnxruntime_providers/,
  });
  assert.deepEqual(await readdir(libraries), ["libonnxruntime.so.1"]);
  assert.deepEqual(await readdir(join(cache, "runtimes")), ["cuda.downloads"]);
  assert.equal(addedRuntimes(cache)[0]!.added, false);

  const whole = server.wheels;
  server.wheels = whole.filter(({ file }) => !file.startsWith("nvidia_cublas"));
  await assert.rejects(add(), { code: "not_found", message: /no package nvidia-cublas/ });
  server.wheels = whole;
  const before = fetched().length;
  await add();
  assert.deepEqual(
    fetched()
      .slice(before)
      .map((request) => request.split("-")[0]),
    ["nvidia_cublas"],
  );
  assert.ok((await lstat(join(libraries, "libonnxruntime_providers_cuda.so"))).isSymbolicLink());
});

test("CUDA's libraries are in the process before the provider asks for them", { skip }, async () => {
  const home = join(cache, "runtimes", "cuda", "nvidia", "cu13", "lib");
  await mkdir(home, { recursive: true });
  // Any library that needs nothing stands for CUDA's.
  const { sharedObjects } = process.report.getReport() as unknown as { sharedObjects: string[] };
  await copyFile(sharedObjects.find((path) => /\/libm\.so\.6$/.test(path))!, join(home, "libcudart.so.13"));
  await writeFile(join(home, "libcublas.so.13"), "cannot be loaded");
  const script = `import { preloadCuda } from ${JSON.stringify(new URL("../../../../shared/runtimes/install/installed.js", import.meta.url))};
    preloadCuda();
    console.log(process.report.getReport().sharedObjects.filter((path) => path.startsWith(process.env.KINDRED_CACHE)).join());`;
  const env = { ...process.env, KINDRED_CACHE: cache };
  const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], {
    encoding: "utf8",
    env,
  });
  assert.equal(stdout.trim(), join(home, "libcudart.so.13"), stderr);
});

test("a damaged manifest names its file, and a name that is none the names there are", async () => {
  const home = join(cache, "runtimes", "tfjs");
  await mkdir(home, { recursive: true });
  await writeFile(join(home, "manifest.json"), "{");
  assert.throws(() => addedRuntimes(cache), {
    code: "invalid_config",
    message: /tfjs.manifest\.json is damaged; delete/,
  });
  assert.throws(() => addable("rocm"), { code: "invalid_option", message: /cuda and tfjs/ });
});
