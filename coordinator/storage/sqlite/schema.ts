/** The tables. */
import { type Generated, Kysely, type SqliteDatabase, SqliteDialect } from "kysely";
import { KindredError } from "../../../shared/base/errors.js";
import type { Connection } from "./database.js";

/** Raised when a table changes. A file of another version is refused, not guessed at. */
const SCHEMA_VERSION = 3;

export interface Tables {
  schema_info: { version: number };
  clients: { name: string; instance_hash: string; token_hash: string; identity: string; rows: string };
  tasks: { id: string; key: string; client: string; spec: string; outcome: string | null };
  uploads: { task_id: string; sha256: string; size: number; complete: number };
  memos: { key: string; value: string };
  events: { seq: Generated<number>; key: string; at: number; json: string };
}

const TABLES: readonly string[] = [
  "clients (name text primary key, instance_hash text not null, token_hash text not null, identity text not null, rows text not null)",
  "tasks (id text primary key, key text not null, client text not null, spec text not null, outcome text)",
  "uploads (task_id text not null, sha256 text not null, size integer not null, complete integer not null, primary key (task_id, sha256))",
  "memos (key text primary key, value text not null)",
  // The row id is the position: one more than the last, and not used up by an event that is ignored.
  "events (seq integer primary key, key text not null unique, at real not null, json text not null)",
];

export function queriesOn(database: SqliteDatabase): Kysely<Tables> {
  return new Kysely<Tables>({ dialect: new SqliteDialect({ database }) });
}

/** Makes the tables where they are missing. @throws {KindredError} `unsupported` where they are of another version */
export function createTables(connection: Connection, file: string): void {
  connection.exec("create table if not exists schema_info (version integer not null)");
  if (versionOf(connection) === undefined) {
    const tables = TABLES.map((table) => `create table ${table};`).join(" ");
    connection.exec(`begin; ${tables} insert into schema_info values (${SCHEMA_VERSION}); commit`);
  }
  checkSchema(connection, file);
}

/** @throws {KindredError} `unsupported` where the tables are of another version, `not_found` where there are none */
export function checkSchema(database: SqliteDatabase, file: string): void {
  const version = versionOf(database);
  if (version === SCHEMA_VERSION) return;
  if (version === undefined) throw new KindredError("not_found", `state ${file}: holds no tables of Kindred`, { file });
  const message = `state ${file}: was written by another version of Kindred; expected schema version ${SCHEMA_VERSION}, got version ${version}; use the Kindred that wrote it, or another folder`;
  throw new KindredError("unsupported", message, { file, version });
}

/** Whether the tables are Kindred's, of whatever version. */
export const holdsTables = (database: SqliteDatabase): boolean => versionOf(database) !== undefined;

function versionOf(database: SqliteDatabase): number | undefined {
  const [table] = database.prepare("select 1 from pragma_table_list where name = 'schema_info'").all([]);
  if (table === undefined) return undefined;
  const [row] = database.prepare("select version from schema_info").all([]) as { version: number }[];
  return row?.version;
}
