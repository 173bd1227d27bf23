/** The store on SQLite (Kysely over libsql, WAL) and a folder of blobs. One process at a time may write. */
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { type CompiledQuery, type Generated, Kysely, type SqliteDatabase, SqliteDialect, sql } from "kysely";
import Database from "libsql";
import { KindredError } from "../../shared/base/errors.js";
import type { BlobRef, RowCounts } from "../../shared/wire/types.js";
import type { TaskSpec } from "../../tasks/kinds.js";
import { FileBlobs } from "./files/blobs.js";
import type { BlobReader, Store, StoredClient, StoredEvent, StoredTask, TaskOutcome } from "./types.js";

/** Raised when a table changes. A file of another version is refused, not guessed at. */
const SCHEMA_VERSION = 2;

type Lock = InstanceType<typeof Database>;

interface Tables {
  schema_info: { version: number };
  clients: { name: string; instance_hash: string; token_hash: string; model_hash: string; rows: string };
  tasks: { id: string; key: string; client: string; spec: string; outcome: string | null };
  uploads: { task_id: string; sha256: string; size: number; complete: number };
  memos: { key: string; value: string };
  events: { seq: Generated<number>; key: string; at: number; json: string };
}

/** @returns whether the tables are there. @throws {KindredError} `unsupported` where they are of another version */
async function checkSchema(db: Kysely<Tables>, file: string): Promise<boolean> {
  const found = await db.selectFrom("schema_info").select("version").executeTakeFirst();
  if (found && found.version !== SCHEMA_VERSION) {
    const message = `${file} has schema version ${found.version}, this Kindred reads ${SCHEMA_VERSION}: use the Kindred that wrote it, or another folder`;
    throw new KindredError("unsupported", message, { file, version: found.version });
  }
  return found !== undefined;
}

async function createTables(db: Kysely<Tables>, file: string): Promise<void> {
  await db.schema
    .createTable("schema_info")
    .ifNotExists()
    .addColumn("version", "integer", (c) => c.notNull())
    .execute();
  if (await checkSchema(db, file)) return;
  await db.transaction().execute(async (tx) => {
    await tx.schema
      .createTable("clients")
      .addColumn("name", "text", (c) => c.primaryKey())
      .addColumn("instance_hash", "text", (c) => c.notNull())
      .addColumn("token_hash", "text", (c) => c.notNull())
      .addColumn("model_hash", "text", (c) => c.notNull())
      .addColumn("rows", "text", (c) => c.notNull())
      .execute();
    await tx.schema
      .createTable("tasks")
      .addColumn("id", "text", (c) => c.primaryKey())
      .addColumn("key", "text", (c) => c.notNull())
      .addColumn("client", "text", (c) => c.notNull())
      .addColumn("spec", "text", (c) => c.notNull())
      .addColumn("outcome", "text")
      .execute();
    await tx.schema
      .createTable("uploads")
      .addColumn("task_id", "text", (c) => c.notNull())
      .addColumn("sha256", "text", (c) => c.notNull())
      .addColumn("size", "integer", (c) => c.notNull())
      .addColumn("complete", "integer", (c) => c.notNull())
      .addPrimaryKeyConstraint("uploads_key", ["task_id", "sha256"])
      .execute();
    await tx.schema
      .createTable("memos")
      .addColumn("key", "text", (c) => c.primaryKey())
      .addColumn("value", "text", (c) => c.notNull())
      .execute();
    await tx.schema
      .createTable("events")
      // The row id: one more than the last, and not used up by an event that is ignored.
      .addColumn("seq", "integer", (c) => c.primaryKey())
      .addColumn("key", "text", (c) => c.notNull().unique())
      .addColumn("at", "real", (c) => c.notNull())
      .addColumn("json", "text", (c) => c.notNull())
      .execute();
    await tx.insertInto("schema_info").values({ version: SCHEMA_VERSION }).execute();
  });
}

/**
 * Opens the state in `folder`, making it where there is none.
 * @throws {KindredError} `invalid_option` where another process has it open, `unsupported` for another schema
 */
export async function openStore(folder: string): Promise<Store> {
  const file = join(folder, "state.db");
  const lock = takeLock(folder);
  try {
    const database = new Database(file);
    database.pragma("journal_mode = WAL");
    // What can be made again (clients, open tasks, uploads) does not wait for the disk; see `flush` for what does.
    database.pragma("synchronous = NORMAL");
    const db = new Kysely<Tables>({
      dialect: new SqliteDialect({ database: database as unknown as SqliteDatabase }),
    });
    await createTables(db, file);
    return new SqliteStore(database, db, await FileBlobs.at(folder), lock);
  } catch (error) {
    dropLock(lock);
    throw error instanceof KindredError ? error : openError(folder, error);
  }
}

/** What is there of a state, to read. */
export interface StoreReader {
  readonly blobs: BlobReader;
  memo(key: string): Promise<string | undefined>;
  close(): Promise<void>;
}

/**
 * Opens the state in `folder` beside whoever has it open, and changes nothing in it.
 * @throws {KindredError} `not_found` where there is none, `invalid_option` where it cannot be opened, `unsupported` for another schema
 */
export async function readStore(folder: string): Promise<StoreReader> {
  const file = join(folder, "state.db");
  if (!existsSync(file)) throw new KindredError("not_found", `${folder}: holds no state (no state.db)`, { folder });
  let db: Kysely<Tables> | undefined;
  try {
    const database = new Database(file);
    database.pragma("query_only = ON");
    const kysely = new Kysely<Tables>({
      dialect: new SqliteDialect({ database: database as unknown as SqliteDatabase }),
    });
    db = kysely;
    await checkSchema(kysely, file);
    const blobs = FileBlobs.reading(folder);
    return {
      blobs,
      memo: async (key) =>
        (await kysely.selectFrom("memos").select("value").where("key", "=", key).executeTakeFirst())?.value,
      close: async () => {
        await kysely.destroy();
        await blobs.close();
      },
    };
  } catch (error) {
    await db?.destroy();
    throw error instanceof KindredError ? error : openError(folder, error);
  }
}

/**
 * One coordinator a folder: two would hand out the same tasks. The lock is a transaction held open on a file of its own, so
 * that others may read the state, and so that the operating system drops it when the process dies. (Exclusive locking of the
 * state itself outlives `close`, because libsql keeps statements until they are collected.)
 */
function takeLock(folder: string): Lock {
  try {
    mkdirSync(folder, { recursive: true });
    const lock = new Database(join(folder, "lock.db"));
    lock.exec("begin exclusive");
    return lock;
  } catch (error) {
    throw openError(folder, error);
  }
}

function dropLock(lock: Lock): void {
  lock.exec("commit");
  lock.close();
}

function openError(folder: string, error: unknown): KindredError {
  const { code, message } = error as { code?: string; message: string };
  if (code?.startsWith("SQLITE_BUSY")) {
    const text = `state folder ${folder} is in use by another process: stop that one, or choose another folder`;
    return new KindredError("invalid_option", text, { folder }, error);
  }
  return new KindredError("invalid_option", `state folder ${folder} cannot be opened: ${message}`, { folder }, error);
}

/** A write that is committed together with the others of its turn of the event loop. */
interface Write {
  readonly queries: readonly CompiledQuery[];
  /** Whether it is acknowledged only when it is on the disk. */
  readonly durable: boolean;
  done(changedRows: number): void;
  failed(error: unknown): void;
}

class SqliteStore implements Store {
  private waiting: Write[] = [];

  constructor(
    private readonly database: InstanceType<typeof Database>,
    private readonly db: Kysely<Tables>,
    readonly blobs: FileBlobs,
    private readonly lock: Lock,
  ) {}

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
      if (durable) this.database.pragma("synchronous = FULL");
      this.database.exec("begin immediate");
      const changed = writes.map(({ queries }) => queries.reduce((sum, query) => sum + this.run(query), 0));
      this.database.exec("commit");
      if (durable) this.database.pragma("synchronous = NORMAL");
      writes.forEach(({ done }, i) => {
        done(changed[i] ?? 0);
      });
    } catch (error) {
      if (this.database.inTransaction) this.database.exec("rollback");
      for (const { failed } of writes) failed(error);
    }
  }

  private run({ sql, parameters }: CompiledQuery): number {
    return this.database.prepare(sql).run(...parameters).changes;
  }

  async clients(): Promise<StoredClient[]> {
    const found = await this.db.selectFrom("clients").selectAll().orderBy("name").execute();
    return found.map((row) => ({
      name: row.name,
      instanceHash: row.instance_hash,
      tokenHash: row.token_hash,
      modelHash: row.model_hash,
      rows: JSON.parse(row.rows) as RowCounts,
    }));
  }

  async saveClient(client: StoredClient): Promise<void> {
    const row = {
      name: client.name,
      instance_hash: client.instanceHash,
      token_hash: client.tokenHash,
      model_hash: client.modelHash,
      rows: JSON.stringify(client.rows),
    };
    await this.db
      .insertInto("clients")
      .values(row)
      .onConflict((conflict) => conflict.column("name").doUpdateSet(row))
      .execute();
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

  async announceUpload(taskId: string, ref: BlobRef): Promise<number> {
    await this.db
      .insertInto("uploads")
      .values({ task_id: taskId, sha256: ref.sha256, size: ref.size, complete: 0 })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    const { count } = await this.db
      .selectFrom("uploads")
      .select(sql<number>`count(*)`.as("count"))
      .where("task_id", "=", taskId)
      .executeTakeFirstOrThrow();
    return Number(count);
  }

  async completeUpload(taskId: string, ref: BlobRef): Promise<void> {
    await this.db
      .updateTable("uploads")
      .set({ complete: 1, size: ref.size })
      .where("task_id", "=", taskId)
      .where("sha256", "=", ref.sha256)
      .execute();
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

  async saveMemo(key: string, json: string): Promise<void> {
    const row = { key, value: json };
    const query = this.db
      .insertInto("memos")
      .values(row)
      .onConflict((conflict) => conflict.column("key").doUpdateSet(row));
    await this.durably(query.compile());
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

  async events(from: number, limit?: number): Promise<StoredEvent[]> {
    const found = this.db.selectFrom("events").selectAll().where("seq", ">=", from).orderBy("seq");
    return (limit === undefined ? found : found.limit(limit)).execute();
  }

  async close(): Promise<void> {
    this.flush();
    await this.db.destroy();
    await this.blobs.close();
    dropLock(this.lock);
  }
}
