/** A TCP relay that counts bytes and can cut connections after a number of bytes: faults of the network, for tests. */
import { connect, createServer, type Socket } from "node:net";

const SETTLE_MS = 10;
const SETTLE_TURNS = 20;

export interface Relay {
  readonly address: string;
  /** Bytes that passed towards the target (up) and back (down). */
  readonly passed: { up: number; down: number };
  /** Connections cut so far. */
  readonly cuts: () => number;
  /** Cuts the connection on which this many more bytes have passed in this direction. */
  cutAfter(direction: "up" | "down", bytes: number): void;
  close(): Promise<void>;
}

export async function relayTo(target: string): Promise<Relay> {
  const [host, port] = target.split(":");
  const passed = { up: 0, down: 0 };
  const sockets = new Set<Socket>();
  let plan: { direction: "up" | "down"; left: number } | undefined;
  let cuts = 0;

  const server = createServer((near) => {
    const far = connect(Number(port), host);
    const destroy = () => {
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", destroy);
      socket.on("close", () => {
        sockets.delete(socket);
        destroy();
      });
    }
    const carry = (from: Socket, to: Socket, direction: "up" | "down") => {
      from.on("data", (bytes) => {
        passed[direction] += bytes.length;
        if (plan?.direction === direction) {
          plan.left -= bytes.length;
          if (plan.left <= 0) {
            plan = undefined;
            cuts++;
            // The bytes passed arrive first. Turns are counted, since after a pause of the process all timers are due at once.
            from.pause();
            to.write(bytes);
            let turns = SETTLE_TURNS;
            const settle = (): void => {
              if (turns-- === 0) destroy();
              else setTimeout(settle, SETTLE_MS);
            };
            settle();
            return;
          }
        }
        if (!to.write(bytes)) {
          from.pause();
          to.once("drain", () => from.resume());
        }
      });
    };
    carry(near, far, "up");
    carry(far, near, "down");
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const bound = server.address();
  if (bound === null || typeof bound === "string") throw new Error("the relay has no port");
  return {
    address: `127.0.0.1:${bound.port}`,
    passed,
    cuts: () => cuts,
    cutAfter: (direction, bytes) => {
      plan = { direction, left: bytes };
    },
    close: () => {
      for (const socket of sockets) socket.destroy();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}
