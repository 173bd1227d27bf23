/** The parts of a report in which two runs of the same seed must agree: all except times and memory. */

type Fields = Record<string, unknown>;

/** A copy of report.json or result.json without `cost...wallSeconds` and `peakRssBytes`, at any depth. */
export function comparable(report: unknown): unknown {
  if (Array.isArray(report)) return report.map(comparable);
  if (typeof report !== "object" || report === null) return report;
  const kept = Object.entries(report as Fields).filter(([key]) => key !== "wallSeconds" && key !== "peakRssBytes");
  return Object.fromEntries(kept.map(([key, value]) => [key, comparable(value)]));
}
