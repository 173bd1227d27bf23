import assert from "node:assert/strict";
import { test } from "node:test";
import {
  compareVersions,
  parseRequirements,
  type Requirement,
  satisfies,
} from "../../../../shared/runtimes/install/versions.js";

const requirement = (text: string): Requirement => parseRequirements(`Requires-Dist: x${text}\n`)[0]!;

test("versions are compared number by number, missing parts being zero", () => {
  const sorted = ["13.10.0.20", "9.3", "13.8.2.12", "13.8", "13.8.0"].sort(compareVersions);
  assert.deepEqual(sorted, ["9.3", "13.8", "13.8.0", "13.8.2.12", "13.10.0.20"]);
});

test("each kind of bound holds and fails where PEP 440 has it so", () => {
  // What `packaging` 24 says of the same pairs.
  const cases: readonly (readonly [bounds: string, right: readonly string[], wrong: readonly string[]])[] = [
    ["~=13.0", ["13.0", "13.8.2.12", "13.10"], ["12.9", "14.0"]],
    ["~=9.3.0", ["9.3.0", "9.3.1"], ["9.4.0", "9.2.9"]],
    ["<13.0,>=12.5.3.2", ["12.5.3.2", "12.9.3.13"], ["13.0", "12.5.3.1"]],
    ["==1.30.0", ["1.30.0", "1.30"], ["1.30.1", "1.3.0"]],
    ["==12.*", ["12.0", "12.9.1"], ["120.1", "13.0"]],
    ["!=0.5.0,!=0.6.*,>0.4,<=0.7", ["0.5.1", "0.7"], ["0.5.0", "0.6.3", "0.4", "0.7.1"]],
    ["", ["1"], []],
  ];
  for (const [bounds, right, wrong] of cases) {
    for (const version of right) assert.ok(satisfies(version, requirement(bounds)), `${version} ${bounds}`);
    for (const version of wrong) assert.ok(!satisfies(version, requirement(bounds)), `${version} ${bounds}`);
  }
  assert.throws(() => satisfies("1.0", requirement("===1.0")), {
    code: "unsupported",
    message: /x: the requirement ===1\.0/,
  });
  assert.throws(() => satisfies("1.0", requirement(">=1.0rc1")), { code: "unsupported" });
});

test("requirements are read from the headers of METADATA alone, with the extra that brings them", () => {
  const metadata = [
    "Name: tensorflow",
    "Requires-Dist: NumPy>=1.26.0",
    'Requires-Dist: nvidia_cublas-cu12<13.0,>=12.5.3.2; extra == "and-cuda"',
    "Requires-Dist: nvidia-cuda.nvrtc (~=13.0) ; extra == 'cuda'",
    "",
    "Requires-Dist: described>=1",
  ].join("\n");
  assert.deepEqual(
    parseRequirements(metadata).map(({ name, extra, specifiers }) => [name, extra, specifiers.length]),
    [
      ["numpy", undefined, 1],
      ["nvidia-cublas-cu12", "and-cuda", 2],
      ["nvidia-cuda-nvrtc", "cuda", 1],
    ],
  );
});
