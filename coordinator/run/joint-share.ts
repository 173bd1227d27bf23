/** How much of their common work several workers have done. It knows nothing of the work. */
export class JointShare {
  private readonly shares: Map<string, number>;
  private readonly all: number;

  /** @param weights of each worker's part, at least 0 */
  constructor(private readonly weights: ReadonlyMap<string, number>) {
    this.shares = new Map([...weights.keys()].map((name) => [name, 0]));
    this.all = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  }

  /**
   * @param share of its own part that the worker has done, 0 .. 1; what is less than before is ignored
   * @returns the share of the whole, 0 .. 1
   */
  set(name: string, share: number): number {
    this.shares.set(name, Math.min(1, Math.max(share, this.shares.get(name) ?? 0)));
    let sum = 0;
    for (const [worker, own] of this.shares) sum += own * (this.weights.get(worker) ?? 0);
    return this.all > 0 ? sum / this.all : 0;
  }
}
