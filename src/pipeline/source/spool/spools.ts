// Keeps what comes of transactions in progress on the disk, one file a transaction, until each of them ends: never in the heap. What
// lies here is nobody's promise: it is not synced, it never holds the flush, and a crash leaves nothing that anybody reads.
import { closeSync, constants, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { TailraceError } from '../../../core/errors.ts';
import { shortageOf } from '../../../core/shortages.ts';
import { makeDirectorySync } from '../../../data-directory/directory.ts';
import { openFile } from '../../../data-directory/files.ts';

const DIRECTORY = 'spool';
/** Of one transaction, savepoints that were undone are remembered up to so many. */
const MAX_UNDONE = 100_000;
/** So many transactions at once: a server has far fewer connections. */
const MAX_SPOOLS = 10_000;
/** Relation messages in all spools. */
const MAX_RELATIONS = 1_000_000;

/** Code of the fault that ends a connection whose transactions in progress find no room: the next one asks for whole transactions. */
export const SPOOL_GIVEN_UP = 'SPOOL_GIVEN_UP';

export const spoolGivenUp = (database: string, why: string, cause?: unknown): TailraceError =>
  new TailraceError(`database "${database}": transactions in progress are not kept here any longer: ${why}`, {
    code: SPOOL_GIVEN_UP,
    kind: 'retryable',
    hint: 'Tailrace connects again by itself and reads each transaction once it is committed; raise slot.max_spooled, or make room on the disk of the data directory',
    ...(cause === undefined ? {} : { cause }),
  });

/** What has come of one transaction: its messages as the server wrote them, copy data and all. */
export type Spool = {
  readonly xid: number;
  readonly path: string;
  bytes: number;
  /** Ids of its savepoints that were undone: nothing of theirs is read back. */
  readonly undone: Set<number>;
  /** Its Relation messages in order, by their numbers, as all of a connection are counted. */
  readonly relations: number[];
  /** It has logical messages, of which nobody says in which savepoint they were written. */
  hasLogicalMessages: boolean;
};

export type SpoolPorts = {
  /** Of the log. */
  readonly directory: string;
  readonly database: string;
  readonly maxBytes: number;
};

/** Of what an earlier connection, or process, had in progress: it comes again. */
export function removeSpools(directory: string): void {
  rmSync(join(directory, DIRECTORY), { recursive: true, force: true });
}

/** Invariant: `#fd` is the file of `#open`. */
export class Spools {
  readonly #ports: SpoolPorts;
  readonly #directory: string;
  readonly #spools = new Map<number, Spool>();
  #relations = 0;
  #open: Spool | undefined;
  #fd = -1;
  /** Of all files. */
  bytes = 0;

  constructor(ports: SpoolPorts) {
    this.#ports = ports;
    this.#directory = join(ports.directory, DIRECTORY);
    this.#try('clear', () => removeSpools(ports.directory));
  }

  /** A part of this transaction begins. */
  open(xid: number, isFirst: boolean): Spool | undefined {
    if (isFirst) this.#add(xid);
    const spool = this.#spools.get(xid);
    if (spool === undefined) return undefined;
    const { O_WRONLY, O_CREAT, O_EXCL, O_APPEND } = constants;
    this.#fd = this.#try('open', () =>
      openFile(spool.path, O_WRONLY | O_APPEND | (isFirst ? O_CREAT | O_EXCL : 0)),
    );
    this.#open = spool;
    return spool;
  }

  #add(xid: number): void {
    this.drop(xid);
    if (this.#spools.size >= MAX_SPOOLS) throw this.#full(`there are ${MAX_SPOOLS} at once`);
    if (this.#spools.size === 0) this.#try('begin', () => makeDirectorySync(this.#directory));
    const path = join(this.#directory, String(xid));
    this.#spools.set(xid, {
      xid,
      path,
      bytes: 0,
      undone: new Set(),
      relations: [],
      hasLogicalMessages: false,
    });
  }

  /** Bytes of the part that is open. */
  write(bytes: Buffer, start: number, end: number): void {
    const spool = this.#open!;
    const { maxBytes } = this.#ports;
    if (this.bytes + end - start > maxBytes) throw this.#full(`they take more than ${maxBytes} bytes`);
    this.#try('write', () => {
      for (let at = start; at < end;) at += writeSync(this.#fd, bytes, at, end - at);
    });
    spool.bytes += end - start;
    this.bytes += end - start;
  }

  /** A Relation message is in the part that is open, number `number` of the connection. */
  describes(number: number): void {
    this.#open!.relations.push(number);
    if (++this.#relations > MAX_RELATIONS)
      throw this.#full(`they describe tables more than ${MAX_RELATIONS} times`);
  }

  /** The part ends. */
  close(): void {
    if (this.#open === undefined) return;
    this.#open = undefined;
    closeSync(this.#fd);
  }

  get(xid: number): Spool | undefined {
    return this.#spools.get(xid);
  }

  /** A savepoint was undone, or all of the transaction. Of one that never came here there is nothing to undo. */
  undo(xid: number, subxid: number): void {
    const spool = this.#spools.get(xid);
    if (spool === undefined) return;
    if (subxid === xid) return this.drop(xid);
    if (spool.hasLogicalMessages) {
      throw this.#full(
        'a savepoint was undone in one with logical messages, of which Postgres does not say whether they are undone with it',
      );
    }
    spool.undone.add(subxid);
    if (spool.undone.size > MAX_UNDONE)
      throw this.#full(`more than ${MAX_UNDONE} savepoints of one are undone`);
  }

  drop(xid: number): void {
    const spool = this.#spools.get(xid);
    if (spool === undefined) return;
    this.#spools.delete(xid);
    this.#relations -= spool.relations.length;
    this.bytes -= spool.bytes;
    this.#try('delete', () => rmSync(spool.path, { force: true }));
  }

  /** The connection is over: what was in progress comes again. What cannot be deleted is when the next one begins. */
  clear(): void {
    this.close();
    this.#spools.clear();
    this.bytes = 0;
    try {
      removeSpools(this.#ports.directory);
    } catch {
      // A disk that does not take that has been told of, or will be.
    }
  }

  #full(why: string): TailraceError {
    return spoolGivenUp(this.#ports.database, why);
  }

  #try<T>(doing: string, act: () => T): T {
    try {
      return act();
    } catch (error) {
      const what = shortageOf(error)?.what ?? (error as Error).message;
      throw spoolGivenUp(this.#ports.database, `cannot ${doing} in ${this.#directory}: ${what}`, error);
    }
  }
}
