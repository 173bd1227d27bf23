import assert from "node:assert/strict";
import { createPrivateKey } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { KindredError } from "../../../shared/base/errors.js";
import { isLoopback, parseAddress } from "../../../shared/wire/address.js";
import { channelCredentials, serverTls } from "../../../shared/wire/security.js";
import { certificateIn } from "../../support/certificate.js";
import { arrived, clientOf, coordinatorAt, evaluateTask, temporaryFolder } from "../../support/federation.js";

/** By name: Node warns of an IP address as TLS server name. */
const byName = (address: string) => address.replace("127.0.0.1", "localhost");
const code = (expected: string) => (error: unknown) => error instanceof KindredError && error.code === expected;

describe("addresses", () => {
  for (const [address, host, port] of [
    ["127.0.0.1:80", "127.0.0.1", 80],
    ["[::1]:65535", "::1", 65_535],
    ["coordinator.example:0", "coordinator.example", 0],
  ] as const) {
    it(`${address} is host ${host} and port ${port}`, () => assert.deepEqual(parseAddress(address), { host, port }));
  }
  for (const address of [
    "",
    "host",
    "host:",
    ":80",
    "host:65536",
    "::1:80",
    "a b:80",
    "host:80:90",
    "http://host:80",
  ]) {
    it(`${JSON.stringify(address)} is refused`, () =>
      assert.throws(() => parseAddress(address), code("invalid_option")));
  }
  it("the loopback is told from the rest", () => {
    for (const host of ["127.0.0.1", "127.9.9.9", "::1", "localhost"]) assert.equal(isLoopback(host), true, host);
    for (const host of ["0.0.0.0", "::", "10.0.0.1", "127.0.0.1.example", "localhost.example"]) {
      assert.equal(isLoopback(host), false, host);
    }
  });
});

describe("plain text", () => {
  for (const [side, make] of [
    ["client", channelCredentials],
    ["coordinator", serverTls],
  ] as const) {
    it(`is refused to a ${side} off the loopback, unless it insists`, () => {
      assert.throws(
        () => make("10.1.2.3:80"),
        (error) => code("insecure")(error) && /10\.1\.2\.3.*insecure/.test(String(error)),
      );
      assert.throws(() => make("0.0.0.0:80"), code("insecure"));
      make("10.1.2.3:80", { insecure: true });
      make("127.0.0.1:80");
    });
  }
});

describe("TLS", () => {
  const folder = temporaryFolder();
  const { cert, key } = certificateIn(folder.path);

  it("carries a run; a client without the authority, or in plain text, does not get in", async (t) => {
    const state = temporaryFolder();
    const coordinator = await coordinatorAt(state.path, { security: { cert, key } });
    const trusted = clientOf(byName(coordinator.address), "trusted", { security: { ca: cert } });
    const otherClientAnswers = temporaryFolder();
    const other = certificateIn(otherClientAnswers.path);
    const stranger = clientOf(byName(coordinator.address), "stranger", { security: { ca: other.cert } });
    const plain = clientOf(coordinator.address, "plain");
    t.after(async () => {
      await Promise.all([trusted, stranger, plain].map((client) => client.stop()));
      await coordinator.close();
      for (const { remove } of [state, otherClientAnswers, folder]) remove();
    });
    await arrived(coordinator.pool, "trusted");
    assert.ok((await coordinator.pool.run("t", "trusted", evaluateTask())).ok);
    await assert.rejects(stranger.end, code("invalid_option"));
    await assert.rejects(plain.end, code("invalid_option"));
    assert.deepEqual(
      (await coordinator.pool.clients()).map(({ name }) => name),
      ["trusted"],
    );
  });

  it("asks clients for a certificate where the coordinator has an authority for them", async (t) => {
    const [mine, theirs, state] = [temporaryFolder(), temporaryFolder(), temporaryFolder()];
    const server = certificateIn(mine.path);
    const member = certificateIn(theirs.path);
    const coordinator = await coordinatorAt(state.path, { security: { ...server, ca: member.cert } });
    const admitted = clientOf(byName(coordinator.address), "admitted", { security: { ca: server.cert, ...member } });
    const bare = clientOf(byName(coordinator.address), "bare", { security: { ca: server.cert } });
    t.after(async () => {
      await Promise.all([admitted, bare].map((client) => client.stop()));
      await coordinator.close();
      for (const { remove } of [mine, theirs, state]) remove();
    });
    await arrived(coordinator.pool, "admitted");
    assert.ok((await coordinator.pool.run("t", "admitted", evaluateTask())).ok);
    await assert.rejects(bare.end, code("invalid_option"));
    assert.equal((await coordinator.pool.clients()).length, 1);
  });

  it("names files that are missing or no PEM", () => {
    const broken = temporaryFolder();
    const file = join(broken.path, "broken.pem");
    writeFileSync(file, "not a certificate");
    const pair = certificateIn(broken.path);
    assert.throws(
      () => serverTls("127.0.0.1:0", { cert: "/no/such/file", key: "x" }),
      /cert: cannot read \/no\/such\/file/,
    );
    assert.throws(() => serverTls("127.0.0.1:0", { cert: pair.cert }), code("invalid_option"));
    assert.throws(() => channelCredentials("127.0.0.1:0", { key: pair.key }), code("invalid_option"));
    assert.throws(
      () => channelCredentials("127.0.0.1:0", { cert: file, key: pair.key }),
      (error) => code("invalid_option")(error) && String(error).includes(file),
    );
    const encrypted = join(broken.path, "encrypted.pem");
    const plainKey = createPrivateKey(readFileSync(pair.key));
    writeFileSync(encrypted, plainKey.export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" }));
    const others = temporaryFolder();
    const other = certificateIn(others.path);
    for (const make of [channelCredentials, serverTls]) {
      for (const [options, problem] of [
        [{ ...pair, key: encrypted }, /--key: the key .*encrypted\.pem is encrypted; give one without a passphrase/],
        [{ ...pair, key: other.key }, /--key: .* is not the private key of the certificate/],
        [{ ...pair, key: pair.cert }, /--key: .* holds no private key/],
        [{ ...pair, ca: pair.key }, /--ca: .* holds no certificate/],
      ] as const)
        assert.throws(
          () => make("127.0.0.1:0", options),
          (error) => code("invalid_option")(error) && problem.test(String(error)),
        );
    }
    others.remove();
    broken.remove();
  });
});
