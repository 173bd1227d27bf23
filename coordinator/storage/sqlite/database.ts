/** A SQLite database (libsql): statements are prepared once, errors say which file and what to do. Knows no tables. */
import { existsSync, statSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { SqliteDatabase, SqliteStatement } from "kysely";
import Database from "libsql";
import type { DiskTrouble } from "../../../shared/base/disk.js";
import { KindredError } from "../../../shared/base/errors.js";
import { closedState } from "../faults.js";
import { damagedDatabase, stateUnavailable } from "../trouble.js";

type Libsql = InstanceType<typeof Database>;

/** A database that this process writes to. */
export class Connection implements SqliteDatabase {
  private readonly statements = new Map<string, SqliteStatement>();
  private readonly database: Libsql;
  private opened = false;
  private closed = false;

  constructor(private readonly file: string) {
    this.database = orExplain(file, () => new Database(file));
    this.exec("pragma journal_mode = WAL");
    // What can be made again (clients, open tasks, uploads, events) does not wait for the disk; see `SqliteRecords` for what does.
    this.exec("pragma synchronous = NORMAL");
    this.opened = true;
  }

  /** The statement, prepared at its first use: 10,000 outcomes in one turn took 0.95 s of processor time, with this 0.70 s. */
  prepare(sql: string): SqliteStatement {
    const known = this.statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.orExplain(() => this.database.prepare(sql));
    const explained: SqliteStatement = {
      reader: statement.reader,
      all: (parameters) => this.orExplain(() => statement.all(parameters)),
      run: (parameters) => this.orExplain(() => statement.run(parameters)),
      iterate: (parameters) => statement.iterate(parameters) as IterableIterator<unknown>,
    };
    this.statements.set(sql, explained);
    return explained;
  }

  exec(sql: string): void {
    this.orExplain(() => this.database.exec(sql));
  }

  get inTransaction(): boolean {
    return !this.closed && this.database.inTransaction;
  }

  close(): void {
    this.closed = true;
    this.statements.clear();
    this.database.close();
  }

  private orExplain<T>(work: () => T): T {
    // libsql ends the process where a closed database is used.
    if (this.closed) throw closedState(this.file);
    return orExplain(this.file, work, this.opened);
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

/** @param opened whether the file was a database of this process before */
function orExplain<T>(file: string, work: () => T, opened = false): T {
  try {
    return work();
  } catch (error) {
    throw databaseError(file, error, opened);
  }
}

/** What the user can mend before a run. */
const MISTAKES: readonly (readonly [code: RegExp, problem: string])[] = [
  [/^SQLITE_NOTADB/, "is not a database of Kindred; give the folder of a run, or an empty one"],
  [/^SQLITE_(CANTOPEN|PERM)/, "cannot be opened; check that the folder may be read and written"],
];

/** Trouble of the disk, as SQLite says it. */
const TROUBLES: readonly (readonly [code: RegExp, trouble: DiskTrouble])[] = [
  [/^SQLITE_FULL/, "full"],
  [/^SQLITE_READONLY/, "readonly"],
  // Busy: another program, such as one that makes a backup, holds the file.
  [/^SQLITE_(IOERR|BUSY|LOCKED|PROTOCOL)/, "failing"],
];

export function databaseError(file: string, error: unknown, opened = false): KindredError {
  if (error instanceof KindredError) return error;
  const { code = "", message } = error as Error & { code?: string };
  if (/^SQLITE_CORRUPT/.test(code) || (opened && code === "SQLITE_NOTADB"))
    return damagedDatabase(file, error as Error);
  const trouble = TROUBLES.find(([known]) => known.test(code))?.[1];
  if (trouble !== undefined) return stateUnavailable(trouble, file, error);
  const mistake = MISTAKES.find(([known]) => known.test(code))?.[1];
  // A file that could be opened before: no handles are left, or the disk fails.
  if (mistake !== undefined && opened) return stateUnavailable("failing", file, error);
  // What is in no list is a defect.
  if (mistake === undefined)
    return new KindredError("internal", `${file}: ${message} (${code})`, { file, code }, error);
  return new KindredError("invalid_option", `state ${file}: ${mistake} (${message})`, { file, code }, error);
}
