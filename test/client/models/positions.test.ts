/** The mask of shared sequences against its definition; answers that share a prompt have the logits that each has alone. */
import assert from "node:assert/strict";
import { after, test } from "node:test";
import fc from "fast-check";
import { causalMask } from "../../../client/models/attention.js";
import { openBaseModel } from "../../../client/models/base.js";
import { type Segment, type Sequence, singleText, TokenPositions } from "../../../client/models/positions.js";
import { initialAdapter } from "../../../client/tuning/adapter.js";
import { scoredTokenFeeds, sequenceFeeds } from "../../../client/tuning/batches.js";
import { CompiledGraphs, Meter } from "../../../client/tuning/compiled-graphs.js";
import { loraLayout } from "../../../client/tuning/lora.js";
import { Forward } from "../../../client/tuning/mixing.js";
import { asset } from "../../../shared/base/assets.js";
import { OnnxRuntime } from "../../../shared/runtimes/onnx/runtime.js";

const runtime = new OnnxRuntime();
after(() => runtime.close());

const sequence: fc.Arbitrary<Sequence> = fc
  .array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.nat()), { minLength: 1, maxLength: 5 })
  .map((drafts) =>
    drafts.map(
      ([length, draw], at): Segment => ({ tokens: new Int32Array(length).fill(at), after: (draw % (at + 1)) - 1 }),
    ),
  );

test("a token attends to itself, to earlier tokens of its segment, and to the segments that this one continues, within the window", () => {
  fc.assert(
    fc.property(
      fc.array(sequence, { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 12 }),
      (batch, window) => {
        const positions = new TokenPositions(batch);
        const mask = causalMask("mask", window).values(positions);
        batch.forEach((segments, row) => {
          // Every token with the list of tokens before it in its text.
          const chains: number[][] = [];
          const last: number[] = [];
          segments.forEach(({ tokens, after }, segment) => {
            let chain = after < 0 ? [] : [...(chains[last[after]!] as number[])];
            for (let i = 0; i < tokens.length; i++) {
              chain = [...chain, chains.length];
              chains.push(chain);
            }
            last[segment] = chains.length - 1;
          });
          chains.forEach((chain, t) => {
            assert.equal(positions.position[row * positions.length + t], chain.length - 1);
            for (let s = 0; s < positions.length; s++) {
              const seen = mask[(row * positions.length + t) * positions.length + s] === 0;
              assert.equal(seen, chain.slice(-window).includes(s), `token ${t} of sequence ${row}, looking at ${s}`);
            }
          });
        });
      },
    ),
  );
});

for (const [name, model] of [
  ["Llama", asset("test", "fixtures", "llama", "tied")],
  ["GPT-2", asset("test", "fixtures", "families", "gpt2")],
  ["GPT-J", asset("test", "fixtures", "families", "gptj")],
  ["Mistral with a window", asset("test", "fixtures", "families", "mistral-window")],
] as const) {
  test(`${name}: answers that share a prompt have the logits that each has by itself`, async () => {
    const compiledGraphs = new CompiledGraphs(runtime, await openBaseModel(model));
    const { architecture } = compiledGraphs.model;
    const layout = loraLayout(architecture, { rank: 2, alpha: 4, modules: [], dropout: 0, freezeA: true });
    const forward = await Forward.open(compiledGraphs, layout, [initialAdapter(layout, 1)], new Meter());
    const tokens = (...list: number[]): Int32Array => Int32Array.from(list);
    const [prompt, yes, no, other] = [tokens(3, 9, 4, 12), tokens(7, 5), tokens(8), tokens(2, 6, 6)];
    const nll = async (sequences: readonly Sequence[], positions: readonly (readonly [number, number])[]) => {
      const feeds = sequenceFeeds(sequences, architecture);
      const asks = positions.map(([row, position], target) => ({ sequence: row, position, target }));
      const [nll] = await forward.nll({ ...feeds, ...scoredTokenFeeds(asks, feeds.tokens!.shape[1] as number) });
      return nll as Float32Array;
    };
    const shared = await nll(
      [
        [
          ...singleText(prompt),
          { tokens: yes, after: 0 },
          { tokens: no, after: 0 },
          { tokens: tokens(1), after: 1 },
          ...singleText(other),
        ],
      ],
      // The ends of the prompt, of both answers, of the continued answer, and of an unrelated text in the same sequence.
      [3, 5, 6, 7, 10].map((position) => [0, position]),
    );
    const join = (...parts: Int32Array[]): Sequence => singleText(Int32Array.from(parts.flatMap((part) => [...part])));
    const alone = await nll(
      [join(prompt), join(prompt, yes), join(prompt, no), join(prompt, yes, tokens(1)), join(other)],
      [3, 5, 4, 6, 2].map((position, row) => [row, position]),
    );
    alone.forEach((value, i) => {
      assert.ok(Math.abs(shared[i]! - value) < 1e-4, `answer ${i}: ${shared[i]}, alone ${value}`);
    });
    forward.close();
    await compiledGraphs.close();
  });
}
