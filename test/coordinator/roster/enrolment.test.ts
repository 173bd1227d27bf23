import assert from "node:assert/strict";
import { describe, it } from "node:test";
import {
  type Applicant,
  decideEnrolment,
  type EnrolmentPolicy,
  type Holder,
} from "../../../coordinator/roster/enrolment.js";
import type { ModelIdentity } from "../../../shared/wire/types.js";

const IDENTITY: ModelIdentity = {
  quantization: "none",
  modelHash: "m",
  tokenizerHash: "t",
  chatTemplateHash: null,
  endOfFreeAnswers: null,
  endOfOtherRows: "none",
};

const APPLICANT: Applicant = {
  protocolVersion: 3,
  name: "ada",
  instanceHash: "one",
  identity: IDENTITY,
  transforms: ["fp16", "later"],
};
const POLICY: EnrolmentPolicy = {
  protocolVersion: 3,
  identity: { ...IDENTITY, chatTemplateHash: "c" },
  transforms: [],
  clients: 4,
  maxClients: 5,
};
const OTHER: ModelIdentity = { ...IDENTITY, modelHash: "n" };

const TABLE: readonly (readonly [string, Partial<Applicant>, Holder | undefined, Partial<EnrolmentPolicy>, string])[] =
  [
    ["a newcomer is admitted", {}, undefined, {}, "new"],
    ["a client with the same identity is admitted again", {}, { instanceHash: "one", live: true }, {}, "returning"],
    ["also when the run is full", {}, { instanceHash: "one", live: false }, { clients: 5 }, "returning"],
    [
      "another instance is refused while the holder is alive",
      {},
      { instanceHash: "two", live: true },
      {},
      "name_taken",
    ],
    ["and takes the name once the holder is given up", {}, { instanceHash: "two", live: false }, {}, "successor"],
    ["a full run admits no new client", {}, undefined, { clients: 5 }, "too_large"],
    ["an older client is refused", { protocolVersion: 2 }, undefined, {}, "protocol_mismatch"],
    ["a newer client is refused", { protocolVersion: 4 }, undefined, {}, "protocol_mismatch"],
    ["a client with the transforms of the run is admitted", {}, undefined, { transforms: ["fp16"] }, "new"],
    ["a client that lacks a transform is refused", {}, undefined, { transforms: ["int8"] }, "unsupported"],
    [
      "also one that was there before",
      {},
      { instanceHash: "one", live: true },
      { transforms: ["int8"] },
      "unsupported",
    ],
    ["another base model is refused", { identity: OTHER }, undefined, {}, "model_mismatch"],
    [
      "another quantization is refused",
      { identity: { ...IDENTITY, quantization: "nf4" } },
      undefined,
      {},
      "model_mismatch",
    ],
    [
      "another tokenizer is refused",
      { identity: { ...IDENTITY, tokenizerHash: "u" } },
      undefined,
      {},
      "model_mismatch",
    ],
    [
      "another chat template is refused",
      { identity: { ...IDENTITY, chatTemplateHash: "d" } },
      undefined,
      {},
      "model_mismatch",
    ],
    ["the same chat template is admitted", { identity: { ...IDENTITY, chatTemplateHash: "c" } }, undefined, {}, "new"],
    [
      "the first chat template is admitted",
      { identity: { ...IDENTITY, chatTemplateHash: "d" } },
      undefined,
      { identity: IDENTITY },
      "new",
    ],
    [
      "another end of rows is refused",
      { identity: { ...IDENTITY, endOfOtherRows: "2" } },
      undefined,
      {},
      "model_mismatch",
    ],
    [
      "another end of rows is admitted where no client has had such rows",
      { identity: { ...IDENTITY, endOfFreeAnswers: "2" } },
      undefined,
      {},
      "new",
    ],
    [
      "rows without an end differ from rows with one",
      { identity: { ...IDENTITY, endOfFreeAnswers: "none" } },
      undefined,
      { identity: { ...IDENTITY, endOfFreeAnswers: "2" } },
      "model_mismatch",
    ],
    ["the first client is admitted", {}, undefined, { identity: {} }, "new"],
    [
      "the protocol version is checked first",
      { protocolVersion: 2, identity: OTHER },
      { instanceHash: "two", live: true },
      {},
      "protocol_mismatch",
    ],
    [
      "a known identity does not excuse another base model",
      { identity: OTHER },
      { instanceHash: "one", live: true },
      {},
      "model_mismatch",
    ],
  ];

describe("enrolment", () => {
  for (const [sentence, applicant, holder, policy, expected] of TABLE) {
    it(sentence, () => {
      const verdict = decideEnrolment({ ...APPLICANT, ...applicant }, holder, { ...POLICY, ...policy });
      assert.equal(verdict.admit ? verdict.as : verdict.error.code, expected);
    });
  }

  it("names the transform that is lacking and those that the client has", () => {
    const refusal = (transforms: readonly string[]) => {
      const verdict = decideEnrolment({ ...APPLICANT, transforms }, undefined, { ...POLICY, transforms: ["int8"] });
      return verdict.admit ? "" : verdict.error.message;
    };
    assert.equal(
      refusal(["fp16", "later"]),
      "client ada lacks the transform int8, which the run needs (transport.compression); it has fp16, later: update the client",
    );
    assert.match(refusal([]), /it has none/);
    assert.equal(refusal(["int8"]), "");
  });

  it("names both versions and says which side to update", () => {
    const messages = [2, 4].map((protocolVersion) => {
      const verdict = decideEnrolment({ ...APPLICANT, protocolVersion }, undefined, POLICY);
      return verdict.admit ? "" : verdict.error.message;
    });
    assert.deepEqual(messages, [
      "client ada speaks protocol version 2, the coordinator 3: update the client",
      "client ada speaks protocol version 4, the coordinator 3: update the coordinator",
    ]);
  });
});
