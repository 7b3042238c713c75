// The accounting of the proof with column rules and routes: what it must not overlook.
import { createHmac } from 'node:crypto';
import { expect, test } from 'vitest';
import { RULED, RuledAccounting, type RuledMessage } from '../../bench/proof/ruled-accounting.ts';

type Change = {
  readonly lsn: number;
  readonly id?: number;
  readonly version?: number;
  readonly region?: number;
  readonly action?: string;
  readonly moved?: 'in' | 'out';
};

function messageOf({
  lsn,
  id = 1,
  version = lsn,
  region = 3,
  action = 'insert',
  moved,
}: Change): RuledMessage {
  const phone = `***${String((version % 10_000) + 10_000).slice(-4)}`;
  const record = {
    id,
    account: 7,
    region,
    v: version,
    mail: createHmac('sha256', RULED.mask_key).update(`planted${id}@example.com`).digest('hex'),
    phone,
    doc_v: version,
    doc_deep_list: [id],
    source: 'proof',
    label: `t/${id}/${version}/${phone}`,
  };
  const metadata = { commit_lsn: lsn, commit_idx: 0, ...(moved !== undefined && { moved }) };
  return {
    queue: `proof-r${region}.fifo`,
    group: 'account-7',
    dedup: `${lsn}-${moved === 'out' ? 'out' : ''}`,
    body: JSON.stringify({ record, changes: null, action, metadata }),
  };
}

const INSERT: Change = { lsn: 100 };
const UPDATE: Change = { lsn: 200, action: 'update' };
const OUT: Change = { lsn: 300, version: 200, action: 'delete', moved: 'out' };
const IN: Change = { lsn: 300, region: 4, moved: 'in' };
const DELETE: Change = { lsn: 400, version: 300, region: 4, action: 'delete' };
const ALL = [INSERT, UPDATE, OUT, IN, DELETE];

/** After these messages, each in a request of its own; `life` begins before the message at this place. */
function accounted(messages: readonly RuledMessage[], { life = Infinity } = {}): RuledAccounting {
  const accounting = new RuledAccounting();
  messages.forEach((message, i) => {
    if (i === life) accounting.life++;
    accounting.accept(message, String(i));
  });
  return accounting;
}
const faultsAfter = (changes: readonly Change[]): readonly string[] =>
  accounted(changes.map(messageOf)).figures().faults;

test('each change once and in its order is no fault, and counts: a move is one change', () => {
  expect(accounted(ALL.map(messageOf)).figures()).toEqual({
    messages: 5,
    changes: 4,
    moves: 1,
    repeats: { messages: 0, mostMessages: 0, mostRequests: 0 },
    faults: [],
  });
});

test('what comes again after a kill is counted, and in one life it is a fault', () => {
  const twice = [INSERT, UPDATE, UPDATE].map(messageOf);
  expect(accounted(twice).figures().faults).toEqual(['200- comes twice in one life']);
  expect(accounted(twice, { life: 2 }).figures()).toMatchObject({
    changes: 2,
    repeats: { messages: 1, mostMessages: 1, mostRequests: 1 },
    faults: [],
  });
});

test('a later change before an earlier one is a fault: of its group, and of its row', () => {
  expect(faultsAfter([INSERT, DELETE, UPDATE])[0]).toContain('is not of the row as it was');
  expect(
    faultsAfter([
      { ...INSERT, lsn: 150 },
      { lsn: 120, id: 2 },
    ])[0],
  ).toMatch(/120\/0\/ comes after a later one of account-7/);
  expect(faultsAfter([INSERT, UPDATE, IN, OUT])).toContain('300/0/out comes after a later one of account-7');
});

test('half a move, a change that is lost and a change with two ids are faults', () => {
  expect(faultsAfter([INSERT, UPDATE, OUT])).toEqual(['1 rows left a queue, 0 entered one']);
  expect(faultsAfter([INSERT, UPDATE, IN])).toEqual(['0 rows left a queue, 1 entered one']);
  expect(faultsAfter([UPDATE])).toEqual(['update of 1, version 200: the row is not there']);
  expect(faultsAfter([INSERT, INSERT]).length).toBeGreaterThan(0);
  const renamed = { ...messageOf(INSERT), dedup: 'another' };
  expect(accounted([messageOf(INSERT), renamed]).figures().faults[0]).toContain('has two deduplication ids');
});

test('another queue, another group, another value and what is masked are faults', () => {
  const message = messageOf(INSERT);
  const faultOf = (wrong: Partial<RuledMessage>) => accounted([{ ...message, ...wrong }]).figures().faults[0];
  expect(faultOf({})).toBeUndefined();
  expect(faultOf({ queue: 'proof-r4.fifo' })).toMatch(/^another queue/);
  expect(faultOf({ group: 'account-8' })).toMatch(/^another group/);
  expect(faultOf({ body: message.body.replace('***', '**') })).toMatch(/^not \{"id":1/);
  expect(faultOf({ body: message.body.replace('"changes":null', '"changes":"planted"') })).toMatch(
    /^shows what is masked/,
  );
});

test('rows that the table has otherwise are counted', () => {
  const accounting = accounted([INSERT, UPDATE].map(messageOf));
  expect(accounting.differences(new Map([[1, { version: 200, region: 3 }]]))).toBe(0);
  expect(accounting.differences(new Map([[1, { version: 201, region: 3 }]]))).toBe(1);
  expect(accounting.differences(new Map([[1, { version: 200, region: 4 }]]))).toBe(1);
  expect(accounting.differences(new Map())).toBe(1);
  expect(
    accounting.differences(
      new Map([
        [1, { version: 200, region: 3 }],
        [2, { version: 1, region: 1 }],
      ]),
    ),
  ).toBe(1);
});
