/** How much of their common work several workers have done. It knows nothing of the work. */
export class JointShare {
  private readonly shares = new Map<string, number>();
  private readonly all: number;
  private done = 0;
  private ended = 0;

  /** @param weights of each worker's part, at least 0 */
  constructor(private readonly weights: ReadonlyMap<string, number>) {
    this.all = [...weights.values()].reduce((sum, weight) => sum + weight, 0);
  }

  /**
   * @param name one of the workers
   * @param share of its own part that the worker has done, 0 .. 1; what is less than before is ignored
   * @returns the share of the whole, 0 .. 1
   */
  set(name: string, share: number): number {
    const before = this.shares.get(name) ?? 0;
    const now = Math.min(1, Math.max(share, before));
    this.shares.set(name, now);
    // A sum that is kept, since each of thousands of clients tells its progress many times.
    this.done += (now - before) * (this.weights.get(name) ?? 0);
    if (before < 1 && now === 1) this.ended++;
    if (this.all === 0) return 0;
    // Free of the sum's rounding.
    return this.ended === this.weights.size ? 1 : Math.min(1, this.done / this.all);
  }
}
