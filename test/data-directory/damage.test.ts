// Each kind of file in the data directory, with each kind of damage: it is named, with the way out; nothing hangs, and no parser or SQLite speaks for us.
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { isDeepStrictEqual } from 'node:util';
import { expect, onTestFinished, test } from 'vitest';
import { TailraceError } from '../../src/core/errors.ts';
import { toLsn } from '../../src/core/lsn.ts';
import { sqliteFiles } from '../../src/data-directory/files.ts';
import { lockDirectory } from '../../src/data-directory/lock.ts';
import { LOOK_FILE, readLookFile, writeLookFile } from '../../src/store/look-file.ts';
import { storeError } from '../../src/store/errors.ts';
import { leaseFileOf, openLeaseStore } from '../../src/store/leases.ts';
import { readLedger } from '../../src/store/ledger.ts';
import { openStore } from '../../src/store/sqlite.ts';
import { append, messagesOf, openTestLog, scratchDirectory } from '../log/stream.ts';
import { openLedger } from '../support/ledger.ts';
import { letterAt, SINK } from '../support/letters.ts';
import { look } from '../support/looks.ts';

type Kind = {
  readonly file: string;
  /** Makes a good one in the directory. */
  make(directory: string): Promise<void> | void;
  /** As the service opens it. What it answers tells what of it was there. */
  open(directory: string): unknown;
  /** Of what it may answer when damaged: is nothing missing, or is it said (in the log, by who opens it)? */
  isSaid(answer: unknown): boolean;
  /** The way out, as the hint has it: what is opened afterwards. */
  mend(path: string, hint: string): void;
};

const run = (command: string): void => void execFileSync('sh', ['-c', command]);
const remove = (path: string): void => rmSync(path, { recursive: true });
/** By the command that the hint has in brackets; what is something else altogether is only said to be moved away. */
function byHint(path: string, hint: string): void {
  const command = /\((rm [^)]+)\)/.exec(hint)?.[1];
  if (command === undefined) remove(path);
  else run(command);
}
const moveAway = (path: string): void => {
  for (const file of sqliteFiles(path))
    if (lstatSync(file, { throwIfNoEntry: false }) !== undefined) renameSync(file, `${file}.away`);
};

const isCut = (answer: unknown): boolean =>
  answer === undefined || isDeepStrictEqual(answer, { isCut: true });
type FoundLog = { damaged: boolean; stateLost: boolean; lastEndLsn: bigint };

const COMMITS = [1000n, 2000n, 3000n];

const makeLog = async (directory: string): Promise<void> => {
  const { log } = await openTestLog(directory);
  for (const commitLsn of COMMITS) append(log, messagesOf({ commitLsn, rows: 3 }));
  await log.sync();
  await log.remember({ flushed: toLsn(2016n) });
  await log.remember({ flushed: toLsn(2016n) });
  await log.close();
};

const openTheLog = async (directory: string): Promise<unknown> => {
  const { log } = await openTestLog(directory);
  const { damaged, cutBytes, stateLost, lastEndLsn } = log.recovered;
  await log.close();
  return { damaged, isCut: cutBytes > 0, stateLost, lastEndLsn };
};

const readAllOf = (file: string): unknown => {
  const store = openStore(file, { check: true });
  try {
    store.sinks.find(SINK);
    store.gaps.unaccepted('shop');
    const letters = store.deadLetters.list(SINK, {}, { limit: 100 }).length;
    return [store.isNew, store.sinks.names('shop'), letters, store.looks.has('shop', look())];
  } finally {
    store.close();
  }
};

const KINDS: Readonly<Record<string, Kind>> = {
  lock: {
    file: 'lock.db',
    make: (directory) => {
      lockDirectory(directory).release();
      // Nothing is kept in it; one that an earlier version or a person wrote to is a database.
      const db = new DatabaseSync(join(directory, 'lock.db'));
      db.exec('create table t (a text); insert into t values (1)');
      db.close();
    },
    open: (directory) => lockDirectory(directory).release(),
    isSaid: () => true,
    mend: byHint,
  },
  store: {
    file: 'tailrace.db',
    make: (directory) => {
      const store = openStore(join(directory, 'tailrace.db'));
      store.sinks.started(SINK, [], { configured: 'active', now: new Date() });
      const position = { epoch: 1, commitLsn: toLsn(7n), index: 0 };
      store.sinks.stands(SINK, { cursor: { position, endLsn: toLsn(9n) }, log: undefined });
      for (let i = 1; i < 50; i++) store.deadLetters.add(letterAt(i), new Date());
      store.looks.add('shop', look(), true);
      store.close();
    },
    open: (directory) => readAllOf(join(directory, 'tailrace.db')),
    // Of a new one the service says what that means, where there are ledgers.
    isSaid: (answer) =>
      isDeepStrictEqual(answer, [true, [], 0, false]) ||
      isDeepStrictEqual(answer, [false, ['users'], 49, true]),
    mend: moveAway,
  },
  leases: {
    file: 'users.leases',
    make: (directory) => {
      const leases = openLeaseStore(leaseFileOf(join(directory, 'users.ledger')));
      const ids = Array.from({ length: 300 }, (_, id) => `id-${id}`);
      leases.save(ids, { visibleAtMs: 5, acked: false });
      leases.close();
    },
    open: (directory) => {
      const leases = openLeaseStore(leaseFileOf(join(directory, 'users.ledger')));
      const { length } = leases.load();
      leases.close();
      return length;
    },
    // Empty is what a crash leaves that came while it was made.
    isSaid: (length) => length === 300 || length === 0,
    mend: moveAway,
  },
  ledger: {
    file: 'users.ledger',
    make: (directory) => {
      const ledger = openLedger(join(directory, 'users.ledger'), SINK);
      for (const commitLsn of COMMITS) {
        ledger.settle([{ transaction: { epoch: 0, commitLsn: toLsn(commitLsn) }, index: 0 }]);
        ledger.write();
      }
      ledger.close();
    },
    open: (directory) => {
      const stored = readLedger(join(directory, 'users.ledger'), SINK);
      stored?.restored.close();
      return stored && { isCut: stored.cutBytes > 0 };
    },
    // Of one that was never finished the store knows where its sink stood (place.ts).
    isSaid: isCut,
    mend: remove,
  },
  state: {
    file: 'state',
    make: makeLog,
    open: openTheLog,
    // One of its two places is enough.
    isSaid: (answer) => (answer as FoundLog).lastEndLsn === 3016n && !(answer as FoundLog).damaged,
    mend: byHint,
  },
  segment: {
    file: `${'0'.repeat(20)}.log`,
    make: makeLog,
    open: openTheLog,
    isSaid: (answer) => (answer as FoundLog).damaged,
    mend: remove,
  },
  look: {
    file: LOOK_FILE,
    make: (directory) => writeLookFile(directory, { look: look(), open: [], salts: [] }),
    open: (directory) => readLookFile(directory) !== undefined,
    isSaid: () => false,
    mend: remove,
  },
};

type Damage = (path: string) => void | Promise<void>;

const flip =
  (share: number): Damage =>
  (path) => {
    const bytes = readFileSync(path);
    const at = Math.min(bytes.length - 1, Math.floor(bytes.length * share));
    bytes[at] = bytes[at]! ^ 0x41;
    writeFileSync(path, bytes);
  };

const WRONG_BYTES: Readonly<Record<string, Damage>> = {
  empty: (path) => truncateSync(path, 0),
  'cut in the middle': (path) => truncateSync(path, Math.floor(lstatSync(path).size / 2)),
  'cut behind its beginning': (path) => truncateSync(path, 40),
  'of other bytes': (path) => writeFileSync(path, Buffer.alloc(9000, 'garbage ')),
  ...Object.fromEntries(
    [0, 0.0005, 0.002, 0.01, 0.1, 0.3, 0.5, 0.7, 1].map((share) => [`flipped at ${share}`, flip(share)]),
  ),
};

const OTHER_THINGS: Readonly<Record<string, Damage>> = {
  directory: (path) => {
    rmSync(path);
    mkdirSync(path);
  },
  link: (path) => {
    renameSync(path, `${path}.good`);
    symlinkSync(`${path}.good`, path);
  },
  'link to nothing': (path) => {
    rmSync(path);
    symlinkSync('/nowhere/at/all', path);
  },
  pipe: (path) => {
    rmSync(path);
    execFileSync('mkfifo', [path]);
  },
  socket: async (path) => {
    rmSync(path);
    const server = createServer();
    await new Promise<void>((listening) => server.listen(path, listening));
    onTestFinished(() => void server.close());
  },
};

async function outcomeOf(kind: Kind, damage: Damage) {
  const directory = scratchDirectory();
  mkdirSync(directory, { recursive: true });
  await kind.make(directory);
  const path = join(directory, kind.file);
  await damage(path);
  return { directory, path, ...(await opened(kind, directory)) };
}

async function opened(kind: Kind, directory: string): Promise<{ answer?: unknown; error?: unknown }> {
  try {
    return { answer: await kind.open(directory) };
  } catch (error) {
    return { error: storeError(error) };
  }
}

/** Of ours, naming the file, with a way out that is one. */
async function expectCured(
  kind: Kind,
  { directory, path, error }: { directory: string; path: string; error?: unknown },
) {
  expect(error).toBeInstanceOf(TailraceError);
  const { message, hint } = error as TailraceError;
  expect(message).toContain(path);
  expect(message).not.toContain('\n');
  kind.mend(path, hint!);
  expect(await opened(kind, directory)).not.toHaveProperty('error');
}

const table = (damages: Readonly<Record<string, Damage>>): [string, string][] =>
  Object.keys(KINDS).flatMap((kind) =>
    Object.keys(damages).map((damage): [string, string] => [kind, damage]),
  );

test.each(table(WRONG_BYTES))(
  'a %s file that is %s is named with its way out, or what it lost is said',
  async (name, damage) => {
    const kind = KINDS[name]!;
    const outcome = await outcomeOf(kind, WRONG_BYTES[damage]!);
    const isQuiet = outcome.error === undefined && !kind.isSaid(outcome.answer);
    expect(isQuiet ? outcome.answer : 'said').toBe('said');
    if (outcome.error !== undefined) await expectCured(kind, outcome);
  },
);

test.each(table(OTHER_THINGS))(
  'in the place of a %s file a %s is refused at once, and not followed',
  async (name, damage) => {
    const kind = KINDS[name]!;
    await expectCured(kind, await outcomeOf(kind, OTHER_THINGS[damage]!));
  },
);
