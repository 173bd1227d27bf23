/** Records in a SQLite database: Kysely makes the statements. One process at a time may write. */
import { type CompiledQuery, type Kysely, type SqliteDatabase, sql } from "kysely";
import type { BlobRef, ModelIdentity, RowCounts } from "../../../shared/wire/types.js";
import type { TaskSpec } from "../../../tasks/kinds.js";
import { announcedOtherwise } from "../faults.js";
import type { RecordReader, Records, StoredClient, StoredEvent, StoredTask, TaskOutcome } from "../types.js";
import type { Connection } from "./database.js";
import { queriesOn, type Tables } from "./schema.js";

/** The records, to read. */
export class SqliteReader implements RecordReader {
  protected readonly db: Kysely<Tables>;

  constructor(database: SqliteDatabase) {
    this.db = queriesOn(database);
  }

  async clients(): Promise<StoredClient[]> {
    const found = await this.db.selectFrom("clients").selectAll().orderBy("name").execute();
    return found.map((row) => ({
      name: row.name,
      instanceHash: row.instance_hash,
      tokenHash: row.token_hash,
      identity: JSON.parse(row.identity) as ModelIdentity,
      rows: JSON.parse(row.rows) as RowCounts,
    }));
  }

  async task(id: string): Promise<StoredTask | undefined> {
    const row = await this.db.selectFrom("tasks").selectAll().where("id", "=", id).executeTakeFirst();
    if (!row) return undefined;
    return {
      id: row.id,
      key: row.key,
      client: row.client,
      task: JSON.parse(row.spec) as TaskSpec,
      ...(row.outcome === null ? {} : { outcome: JSON.parse(row.outcome) as TaskOutcome }),
    };
  }

  async isUploaded(taskId: string, ref: BlobRef): Promise<boolean> {
    const row = await this.db
      .selectFrom("uploads")
      .select(["complete", "size"])
      .where("task_id", "=", taskId)
      .where("sha256", "=", ref.sha256)
      .executeTakeFirst();
    return row?.complete === 1 && row.size === ref.size;
  }

  async memo(key: string): Promise<string | undefined> {
    const row = await this.db.selectFrom("memos").select("value").where("key", "=", key).executeTakeFirst();
    return row?.value;
  }

  async events(from: number, limit?: number): Promise<StoredEvent[]> {
    const found = this.db.selectFrom("events").selectAll().where("seq", ">=", from).orderBy("seq");
    return (limit === undefined ? found : found.limit(limit)).execute();
  }
}

/** A write that is committed together with the others of its turn of the event loop. */
interface Write {
  readonly queries: readonly CompiledQuery[];
  /** Whether it is acknowledged only when it is on the disk. */
  readonly durable: boolean;
  done(changedRows: number): void;
  failed(error: unknown): void;
}

export class SqliteRecords extends SqliteReader implements Records {
  private waiting: Write[] = [];

  constructor(private readonly connection: Connection) {
    super(connection);
  }

  /** Runs a write and waits for the disk. Resolves to the number of rows it changed. */
  private durably(query: CompiledQuery): Promise<number> {
    return this.write([query], true);
  }

  private write(queries: readonly CompiledQuery[], durable: boolean): Promise<number> {
    return new Promise((done, failed) => {
      this.waiting.push({ queries, durable, done, failed });
      if (this.waiting.length === 1) setImmediate(() => this.flush());
    });
  }

  /**
   * Commits all waiting writes at once: reaching the disk costs 2 to 10 ms, during which libsql blocks the event loop, so a
   * hundred results that arrive together wait once. Synchronous from begin to commit: no other statement comes between.
   */
  private flush(): void {
    const writes = this.waiting;
    this.waiting = [];
    if (writes.length === 0) return;
    const durable = writes.some((write) => write.durable);
    try {
      if (durable) this.connection.exec("pragma synchronous = FULL");
      this.connection.exec("begin immediate");
      const changed = writes.map(({ queries }) => queries.reduce((sum, query) => sum + this.run(query), 0));
      this.connection.exec("commit");
      if (durable) this.connection.exec("pragma synchronous = NORMAL");
      writes.forEach(({ done }, i) => {
        done(changed[i] ?? 0);
      });
    } catch (error) {
      try {
        if (this.connection.inTransaction) this.connection.exec("rollback");
      } catch {
        // What rolls a transaction back on a disk that fails is the next one's begin; the first error says more.
      }
      for (const { failed } of writes) failed(error);
    }
  }

  private run({ sql, parameters }: CompiledQuery): number {
    return Number(this.connection.prepare(sql).run(parameters).changes);
  }

  async saveClient(client: StoredClient): Promise<void> {
    const row = {
      name: client.name,
      instance_hash: client.instanceHash,
      token_hash: client.tokenHash,
      identity: JSON.stringify(client.identity),
      rows: JSON.stringify(client.rows),
    };
    await this.db
      .insertInto("clients")
      .values(row)
      .onConflict((conflict) => conflict.column("name").doUpdateSet(row))
      .execute();
  }

  async addTask({ id, key, client, task }: Omit<StoredTask, "outcome">): Promise<void> {
    const row = { id, key, client, spec: JSON.stringify(task), outcome: null };
    await this.db.insertInto("tasks").values(row).execute();
  }

  async settleTask(id: string, outcome: TaskOutcome): Promise<boolean> {
    const query = this.db
      .updateTable("tasks")
      .set({ outcome: JSON.stringify(outcome) })
      .where("id", "=", id)
      .where("outcome", "is", null);
    return (await this.durably(query.compile())) > 0;
  }

  async announceUpload(taskId: string, ref: BlobRef, most: number): Promise<boolean> {
    const announced = await this.db
      .selectFrom("uploads")
      .select(["sha256", "size"])
      .where("task_id", "=", taskId)
      .execute();
    const known = announced.find(({ sha256 }) => sha256 === ref.sha256);
    if (known !== undefined && known.size !== ref.size) throw announcedOtherwise(ref, known.size);
    if (known !== undefined || announced.length >= most) return known !== undefined;
    await this.db
      .insertInto("uploads")
      .values({ task_id: taskId, sha256: ref.sha256, size: ref.size, complete: 0 })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    return true;
  }

  async completeUpload(taskId: string, ref: BlobRef): Promise<void> {
    await this.db
      .updateTable("uploads")
      .set({ complete: 1, size: ref.size })
      .where("task_id", "=", taskId)
      .where("sha256", "=", ref.sha256)
      .execute();
  }

  async saveMemo(key: string, json: string): Promise<void> {
    const row = { key, value: json };
    const query = this.db
      .insertInto("memos")
      .values(row)
      .onConflict((conflict) => conflict.column("key").doUpdateSet(row));
    await this.durably(query.compile());
  }

  async forgetBlob({ sha256 }: BlobRef): Promise<number> {
    const queries = [
      this.db.updateTable("tasks").set({ outcome: null }).where(sql<boolean>`instr(outcome, ${sha256}) > 0`).compile(),
      this.db
        .updateTable("uploads")
        .set({ complete: 0 })
        .where("sha256", "=", sha256)
        .where("complete", "=", 1)
        .compile(),
      this.db.deleteFrom("memos").where(sql<boolean>`instr(value, ${sha256}) > 0`).compile(),
    ];
    return this.write(queries, true);
  }

  async appendEvents(events: readonly StoredEvent[]): Promise<void> {
    if (events.length === 0) return;
    const queries = events.map(({ key, at, json }) =>
      this.db
        .insertInto("events")
        .values({ key, at, json })
        .onConflict((conflict) => conflict.column("key").doNothing())
        .compile(),
    );
    await this.write(queries, false);
  }

  /** Commits what is waiting and closes the database. */
  close(): void {
    this.flush();
    try {
      // So that `state.db` alone is the whole state.
      this.connection.exec("pragma wal_checkpoint(truncate)");
    } catch {
      // The log has the rest, as after a kill, and the next process reads it.
    } finally {
      this.connection.close();
    }
  }
}
