import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { Metadata, status } from "@grpc/grpc-js";
import { ERROR_CODES, KindredError } from "../../../shared/base/errors.js";
import { fromStatus, isRetryable, RETRYABLE, STATUS_OF, toStatus } from "../../../shared/wire/errors.js";
import { MAX_ERROR_MESSAGE_LENGTH } from "../../../shared/wire/limits.js";

/** As grpc-js throws it at the other end. */
function arrived({ code, details, metadata }: { code: status; details: string; metadata: Metadata }): Error {
  return Object.assign(new Error(`${code}: ${details}`), { code, details, metadata });
}

describe("errors across the wire", () => {
  for (const code of ERROR_CODES) {
    it(`${code} arrives as itself`, () => {
      const sent = new KindredError(code, "what happened", { field: "a.b", n: 3, yes: true, nil: null });
      const got = fromStatus(arrived(toStatus(sent)), "peer");
      assert.deepEqual([got.code, got.message, got.facts], [code, "what happened", sent.facts]);
      assert.notEqual(STATUS_OF[code], status.OK);
      assert.equal(isRetryable(got), RETRYABLE[code]);
    });
  }

  it("bounds messages and leaves out facts that are too many", () => {
    const sent = toStatus(new KindredError("internal", "x".repeat(9_999), { long: "y".repeat(9_999) }));
    const got = fromStatus(arrived(sent), "peer");
    assert.equal(got.message.length, MAX_ERROR_MESSAGE_LENGTH);
    assert.deepEqual(got.facts, {});
  });

  for (const [code, expected] of [
    [status.UNAVAILABLE, "unavailable"],
    [status.DEADLINE_EXCEEDED, "unavailable"],
    [status.CANCELLED, "unavailable"],
    [status.UNKNOWN, "unavailable"],
    [status.INTERNAL, "unavailable"],
    [status.ABORTED, "unavailable"],
    [status.RESOURCE_EXHAUSTED, "too_large"],
    [status.UNIMPLEMENTED, "protocol_mismatch"],
    [status.PERMISSION_DENIED, "internal"],
    [status.UNAUTHENTICATED, "internal"],
    [status.NOT_FOUND, "internal"],
  ] as const) {
    it(`${status[code]} without a code of ours is ${expected}, and names the peer`, () => {
      const got = fromStatus(arrived({ code, details: "gone", metadata: new Metadata() }), "coordinator at x:1");
      assert.equal(got.code, expected);
      assert.match(got.message, /coordinator at x:1.*gone/);
    });
  }

  it("names the cause of a connection that is refused, without the empty part that gRPC appends", () => {
    const details = "No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1. Resolution note: ";
    const got = fromStatus(arrived({ code: status.UNAVAILABLE, details, metadata: new Metadata() }), "peer");
    assert.equal(
      got.message,
      "peer: UNAVAILABLE No connection established. Last error: connect ECONNREFUSED 127.0.0.1:1",
    );
  });

  it("a message that cannot be encoded is a defect, not a lost connection", () => {
    const details = "Request message serialization failure: not a number";
    const got = fromStatus(arrived({ code: status.INTERNAL, details, metadata: new Metadata() }), "peer");
    assert.equal(got.code, "internal");
    assert.equal(isRetryable(got), false);
  });

  it("codes and facts that a hostile peer invents do not come through", () => {
    const metadata = new Metadata();
    metadata.set("kindred-code", "constructor");
    assert.equal(fromStatus(arrived({ code: status.NOT_FOUND, details: "", metadata }), "peer").code, "internal");
    metadata.set("kindred-code", "not_found");
    metadata.set("kindred-facts-bin", Buffer.from('{"a":{"b":1},"c":"d"}'));
    assert.deepEqual(fromStatus(arrived({ code: status.NOT_FOUND, details: "", metadata }), "peer").facts, { c: "d" });
    metadata.set("kindred-facts-bin", Buffer.from("not json"));
    assert.deepEqual(fromStatus(arrived({ code: status.NOT_FOUND, details: "", metadata }), "peer").facts, {});
  });
});
