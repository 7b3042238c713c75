// The step `changed`: updates that leave the watched columns as they were are settled unsent and counted; nothing else is.
import { expect, test } from 'vitest';
import { tablePattern } from '../../../../src/core/selection.ts';
import { NO_RULES, type ColumnRules } from '../../../../src/functions/columns/rules.ts';
import { changedStep } from '../../../../src/pipeline/intake/columns/changed.ts';
import type { SinkSettings } from '../../../../src/pipeline/settings.ts';
import { begin, commit } from '../../../log/stream.ts';
import { convertingIntake } from '../../../support/filtered-intake.ts';
import { describeTable, sinkIntake } from '../../../support/intake.ts';
import { blocksOf } from '../../../support/log-blocks.ts';
import {
  deleteMessage,
  insertMessage,
  truncateMessage,
  updateMessage,
  type Cell,
} from '../../../support/pgoutput-messages.ts';

const T = { commitLsn: 100n, rows: 0 };
const TEXT = 25;

const tablesWith = (onlyWhenChanged: ColumnRules['onlyWhenChanged']): SinkSettings['tables'] => [
  {
    pattern: tablePattern({ schema: 'public', table: 't1' }),
    rules: {
      place: 'tailrace.yaml:8:9  sinks[items].tables[public.t1]',
      ...NO_RULES,
      ...(onlyWhenChanged && { onlyWhenChanged }),
    },
  },
];

const watching = (columns: readonly string[], whenUnknown: 'refuse' | 'send' = 'refuse') =>
  tablesWith({ columns, whenUnknown });

function intakeOf(
  settings: Partial<SinkSettings> & Pick<SinkSettings, 'tables'>,
  messages: readonly Buffer[],
  identity: 'd' | 'f' = 'f',
) {
  const columns = ['id', 'price', 'note'].map((name) => ({
    name,
    type: TEXT,
    identity: identity === 'f' || name === 'id',
  }));
  const blocks = blocksOf([begin(T), ...describeTable({ id: 1, identity, columns }), ...messages, commit(T)]);
  const changed = changedStep(settings);
  return sinkIntake({ settings, blocks, ports: { steps: changed === undefined ? {} : { changed } } });
}

const update = (old: readonly Cell[], row: readonly Cell[]): Buffer =>
  updateMessage(1, row, { kind: 'full', row: old });

const sent = (h: ReturnType<typeof intakeOf>): string[] =>
  h.letIn().map(({ action, index }) => `${action} ${index}`);

test('a sink whose tables watch no column has no step', () => {
  expect(changedStep({ tables: [] })).toBeUndefined();
  expect(changedStep({ tables: tablesWith(undefined) })).toBeUndefined();
});

test('an update that leaves them as they were is not sent and counted as filtered; inserts, deletes, TRUNCATE and changes of the key are sent', async () => {
  const h = intakeOf({ tables: watching(['price']), actions: ['insert', 'update', 'delete', 'truncate'] }, [
    insertMessage(1, ['1', '5', 'a']),
    update(['1', '5', 'a'], ['1', '5', 'b']),
    update(['1', '5', 'b'], ['1', '6', 'b']),
    update(['1', '6', 'b'], ['1', null, 'b']),
    update(['1', null, 'b'], ['1', null, 'c']),
    update(['1', null, 'c'], ['2', null, 'c']),
    deleteMessage(1, { kind: 'full', row: ['2', null, 'c'] }),
    truncateMessage([1]),
  ]);
  await h.walk();
  expect(sent(h)).toEqual(['insert 0', 'update 2', 'update 3', 'update 5', 'delete 6', 'truncate 7']);
  expect(h.counts.filtered).toBe(2);
  await h.drained();
  expect(h.settled).toHaveLength(6);
});

test('a change of the key that is split is sent as both halves', async () => {
  const settings = { tables: watching(['price']), keyChanges: 'split' } as const;
  const h = intakeOf(settings, [update(['1', '5', 'a'], ['2', '5', 'a'])]);
  await h.walk();
  expect(sent(h)).toEqual(['delete 0', 'insert 0']);
});

test('where updates do not tell, the sink waits, with the identity and the other way as cures', async () => {
  const h = intakeOf({ tables: watching(['price']) }, [updateMessage(1, ['1', '5', 'a'])], 'd');
  const halt = await h.walk().catch((error: unknown) => error);
  expect(halt).toMatchObject({
    code: 'CHANGES_UNTOLD',
    message: expect.stringContaining(
      'tailrace.yaml:8:9  sinks[items].tables[public.t1]: only_when_changed names price, and an update of public.t1 comes without their old values',
    ),
    hint: expect.stringMatching(/^ALTER TABLE "public"\."t1" REPLICA IDENTITY FULL; .*`when_unknown: send`/),
  });
});

test('when_unknown: send sends what cannot be judged, and still not what is known', async () => {
  const h = intakeOf({ tables: watching(['id', 'price'], 'send') }, [updateMessage(1, ['1', '5', 'a'])], 'd');
  await h.walk();
  expect(sent(h)).toEqual(['update 0']);
  const byKey = intakeOf({ tables: watching(['id']) }, [updateMessage(1, ['1', '5', 'a'])], 'd');
  await byKey.walk();
  expect(sent(byKey)).toEqual([]);
});

test('a sink that takes no updates of the table needs no identity', async () => {
  const h = intakeOf(
    { tables: watching(['price']), actions: ['insert'] },
    [insertMessage(1, ['1', '5', 'a'])],
    'd',
  );
  await h.walk();
  expect(sent(h)).toEqual(['insert 0']);
});

test('a row that enters or leaves what the filter names is sent, whatever else it leaves as it was', async () => {
  const tables = watching(['code']);
  const row = (size: string): Cell[] => ['1', 'x', size, null];
  const h = convertingIntake({ where: 'size > 10', settings: { tables }, ports: {} }, [
    updateMessage(1, row('20'), { kind: 'full', row: row('5') }),
    updateMessage(1, row('30'), { kind: 'full', row: row('20') }),
    updateMessage(1, row('5'), { kind: 'full', row: row('30') }),
  ]);
  await h.walk();
  expect(h.letIn().map(({ action, index }) => `${action} ${index}`)).toEqual(['insert 0', 'delete 2']);
});
