/** Logits of every position, from the compiled graph that scores rows. */
import { singleText } from "../../client/models/positions.js";
import { type AdapterLayout, type AdapterValues, emptyAdapter } from "../../client/tuning/adapter.js";
import { scoredTokenFeeds, sequenceFeeds } from "../../client/tuning/batches.js";
import type { CompiledGraphs, Meter } from "../../client/tuning/compiled-graphs.js";
import { Forward } from "../../client/tuning/mixing.js";

/** @param tokens [B, T]. @returns row-major [B, T, V] */
export async function allLogits(
  compiledGraphs: CompiledGraphs,
  layout: AdapterLayout,
  values: AdapterValues | undefined,
  tokens: { shape: readonly [number, number]; data: Int32Array },
  meter: Meter,
): Promise<Float32Array> {
  const [rows, length] = tokens.shape;
  const sequences = Array.from({ length: rows }, (_, i) => tokens.data.slice(i * length, (i + 1) * length));
  const asks = sequences.flatMap((_, sequence) =>
    Array.from({ length }, (_, position) => ({ sequence, position, target: 0 })),
  );
  const forward = await Forward.open(compiledGraphs, layout, [values ?? emptyAdapter(layout)], meter);
  const feeds = {
    ...sequenceFeeds(sequences.map(singleText), compiledGraphs.model.architecture),
    ...scoredTokenFeeds(asks, length),
  };
  const logits = await forward.logits(feeds);
  const host = await compiledGraphs.runtime.download(logits);
  compiledGraphs.free(logits);
  forward.close();
  return host.data as Float32Array;
}
