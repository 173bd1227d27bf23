/** A SQLite database (libsql): statements are prepared once, errors say which file and what to do. Knows no tables. */
import { existsSync, statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { SqliteDatabase, SqliteStatement } from "kysely";
import Database from "libsql";
import { KindredError } from "../../../shared/base/errors.js";

type Libsql = InstanceType<typeof Database>;

/** A database that this process writes to. */
export class Connection implements SqliteDatabase {
  private readonly statements = new Map<string, SqliteStatement>();
  private readonly database: Libsql;

  constructor(private readonly file: string) {
    this.database = orExplain(file, () => new Database(file));
    this.exec("pragma journal_mode = WAL");
    // What can be made again (clients, open tasks, uploads, events) does not wait for the disk; see `SqliteRecords` for what does.
    this.exec("pragma synchronous = NORMAL");
  }

  /** The statement, prepared at its first use: 10,000 outcomes in one turn took 0.95 s of processor time, with this 0.70 s. */
  prepare(sql: string): SqliteStatement {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    const statement = orExplain(this.file, () => this.database.prepare(sql));
    const explained: SqliteStatement = {
      reader: statement.reader,
      all: (parameters) => orExplain(this.file, () => statement.all(parameters)),
      run: (parameters) => orExplain(this.file, () => statement.run(parameters)),
      iterate: (parameters) => statement.iterate(parameters) as IterableIterator<unknown>,
    };
    this.statements.set(sql, explained);
    return explained;
  }

  exec(sql: string): void {
    orExplain(this.file, () => this.database.exec(sql));
  }

  get inTransaction(): boolean {
    return this.database.inTransaction;
  }

  close(): void {
    this.statements.clear();
    this.database.close();
  }
}

/**
 * A database that another process may be writing to. Reading changes nothing on the disk: the index of the write-ahead log is
 * mapped read-only, and a file without a log is read as one that does not change.
 *
 * Each statement attaches the file to a database in memory and detaches it, for two reasons. Whether there is a log may change
 * between two statements. And libsql closes a database only when its statements are collected, while a process that has the
 * index mapped read-only cannot open the same database to write.
 */
export class ReadingConnection implements SqliteDatabase {
  private readonly memory = new Database(":memory:");

  constructor(private readonly file: string) {}

  prepare(sql: string): SqliteStatement {
    return {
      reader: true,
      all: (parameters) => this.attached(() => this.memory.prepare(sql).all(parameters)),
      run: (parameters) => this.attached(() => this.memory.prepare(sql).run(parameters)),
      iterate: (parameters) => this.prepare(sql).all(parameters)[Symbol.iterator](),
    };
  }

  close(): void {
    this.memory.close();
  }

  private attached<T>(work: () => T): T {
    return orExplain(this.file, () => {
      this.memory.prepare("attach ? as state").run([urlToRead(this.file)]);
      try {
        return work();
      } finally {
        this.memory.exec("detach state");
      }
    });
  }
}

function urlToRead(file: string): string {
  const url = pathToFileURL(file);
  const log = statSync(`${file}-wal`, { throwIfNoEntry: false });
  if (log === undefined || log.size === 0) url.search = "mode=ro&immutable=1";
  // Without an index nobody has the database open, and SQLite makes the index again, in a folder that may be written to.
  else url.search = existsSync(`${file}-shm`) ? "mode=ro&readonly_shm=1" : "mode=ro";
  return url.href;
}

function orExplain<T>(file: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw databaseError(file, error);
  }
}

const EXPLANATIONS: readonly (readonly [code: RegExp, problem: string])[] = [
  [/^SQLITE_NOTADB/, "is not a database of Kindred; give the folder of a run, or an empty one"],
  [/^SQLITE_CORRUPT/, "is damaged; restore it from a copy, or start the run again in another folder"],
  [/^SQLITE_FULL/, "the disk is full; free space and start the coordinator again: it resumes"],
  [/^SQLITE_(CANTOPEN|READONLY|PERM)/, "cannot be opened; check that the folder may be read and written"],
];

export function databaseError(file: string, error: unknown): KindredError {
  const { code = "", message } = error as { code?: string; message: string };
  const problem = EXPLANATIONS.find(([known]) => known.test(code))?.[1];
  // What is in no list is a defect, or a disk that fails.
  if (problem === undefined)
    return new KindredError("internal", `${file}: ${message} (${code})`, { file, code }, error);
  return new KindredError("invalid_option", `state ${file}: ${problem} (${message})`, { file, code }, error);
}
