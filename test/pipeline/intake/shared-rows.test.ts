// Sinks beside each other, which share what they send alike: each lets in what it lets in alone, byte by byte.
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Envelope } from '../../../src/formats/format.ts';
import { formats } from '../../../src/formats/registry.ts';
import type { LogBlock } from '../../../src/log/block.ts';
import { SharedBlocks } from '../../../src/log/shared-blocks.ts';
import type { Pending } from '../../../src/pipeline/delivery/pending.ts';
import { SinkMarkers } from '../../../src/pipeline/intake/markers.ts';
import { tablePlan } from '../../../src/pipeline/intake/message-rendering.ts';
import { SharedRows } from '../../../src/pipeline/intake/shared-rows.ts';
import type { SinkSettings } from '../../../src/pipeline/settings.ts';
import { begin, commit } from '../../log/stream.ts';
import { routeTo } from '../../support/dispatcher.ts';
import { describeTable, oversizeFrame, sinkIntake, type IntakeOptions } from '../../support/intake.ts';
import { BLOCK_BYTES, blocksOf } from '../../support/log-blocks.ts';
import { bodyOf, patient, silent } from '../../support/messages.ts';
import {
  deleteMessage,
  insertMessage,
  logicalMessage,
  truncateMessage,
  UNCHANGED,
  updateMessage,
  type Cell,
} from '../../support/pgoutput-messages.ts';

const TEXT = 25;
const NUMBER = 1700;

/** Shapes of one table: as it is, under FULL, with one column more. */
const SHAPES = [
  describeTable({ id: 1, columns: [column('id', true), column('note'), column('amount', false, NUMBER)] }),
  describeTable({
    id: 1,
    identity: 'f',
    columns: [column('id', true), column('note', true), column('amount', true, NUMBER)],
  }),
  describeTable({
    id: 1,
    columns: [column('id', true), column('note'), column('amount', false, NUMBER), column('more')],
  }),
];
function column(name: string, identity = false, type = TEXT) {
  return { name, type, identity };
}

type Shape = 0 | 1 | 2;
type Step =
  | { readonly kind: 'shape'; readonly shape: Shape }
  | { readonly kind: 'insert' | 'update' | 'rekey' | 'delete' | 'toast'; readonly id: string; note: string }
  | { readonly kind: 'truncate' | 'annotate' | 'skip' | 'oversize' | 'block' | 'transaction' };

const note = fc.oneof(
  fc.constantFrom('', '"\\\n\u0001', 'é€😀', 'x'.repeat(300)),
  fc.string({ unit: 'binary' }),
);
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      kind: fc.constantFrom('insert', 'update', 'rekey', 'delete', 'toast'),
      id: fc.constantFrom('a', 'b:c', 'd'),
      note: note.map((text) => text.replaceAll('\0', '')),
    }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('shape'), shape: fc.constantFrom(0, 1, 2) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constantFrom('truncate', 'annotate', 'skip', 'oversize', 'block', 'transaction'),
    }),
  },
) as fc.Arbitrary<Step>;

/** What a source would log of these steps. */
function blocksFrom(steps: readonly Step[]): LogBlock[] {
  let shape: Shape = 0;
  let commitLsn = 100n;
  const contents: Buffer[][] = [[begin({ commitLsn, rows: 0 }), ...SHAPES[0]!]];
  const cells = (id: string, text: Cell): Cell[] =>
    shape === 2 ? [id, text, '1.50', 'm'] : [id, text, '1.50'];
  const old = (id: string) =>
    shape === 1
      ? ({ kind: 'full', row: [id, 'before', '1.5'] } as const)
      : ({ kind: 'key', row: [id, null, null, ...(shape === 2 ? [null] : [])] } as const);
  for (const step of steps) {
    const messages = contents.at(-1)!;
    switch (step.kind) {
      case 'shape':
        shape = step.shape;
        messages.push(...SHAPES[shape]!);
        break;
      case 'insert':
        messages.push(insertMessage(1, cells(step.id, step.note)));
        break;
      case 'update':
        messages.push(updateMessage(1, cells(step.id, step.note), shape === 1 ? old(step.id) : undefined));
        break;
      case 'toast':
        messages.push(updateMessage(1, cells(step.id, UNCHANGED), shape === 1 ? old(step.id) : undefined));
        break;
      case 'rekey':
        messages.push(updateMessage(1, cells(step.id, step.note), old('before')));
        break;
      case 'delete':
        messages.push(deleteMessage(1, old(step.id)));
        break;
      case 'truncate':
        messages.push(truncateMessage([1]));
        break;
      case 'oversize':
        messages.push(oversizeFrame('insert', 1, 99));
        break;
      case 'annotate':
        messages.push(logicalMessage('tailrace:transaction_annotations.set', '{"by":"me"}'));
        break;
      case 'skip':
        messages.push(logicalMessage('tailrace:skip', 's1'));
        break;
      case 'block':
        contents.push([]);
        break;
      case 'transaction':
        messages.push(commit({ commitLsn, rows: 0 }));
        commitLsn += 100n;
        messages.push(begin({ commitLsn, rows: 0 }));
        break;
      default:
        step satisfies never;
    }
  }
  contents.at(-1)!.push(commit({ commitLsn, rows: 0 }));
  return blocksOf(...contents.filter((messages) => messages.length > 0));
}

const sink = (
  format: SinkSettings['format'],
  settings: Partial<SinkSettings> = {},
  more: IntakeOptions = {},
) =>
  ({
    settings: {
      format,
      values: formats[format].values,
      formatOptions: formats[format].options?.parse({}),
      ...settings,
    },
    ...more,
  }) satisfies IntakeOptions;
const escaped = { sink: { encoding: 'json-string' } } as const;
const wholeTable = { pattern: { schema: ['public'], table: ['t1'] } };

/** The first four have the same settings but for what they are called; others differ from them in one thing each. */
const SINKS: readonly IntakeOptions[] = [
  sink('sequin', {}, escaped),
  sink('sequin', {}, escaped),
  sink('sequin', {}, { ...escaped, envelope: { sinkAnnotations: { team: 'a "quoted" one' } } }),
  sink('sequin', { actions: ['insert', 'delete'] }, escaped),
  sink('sequin'),
  sink('sequin', { messageGrouping: false }, escaped),
  sink('sequin', { keyChanges: 'split' }, escaped),
  sink('sequin', { tables: [{ ...wholeTable, columns: ['id', 'note'] }] }, escaped),
  sink('sequin', { tables: [{ ...wholeTable, groupColumns: ['note'] }] }, escaped),
  sink(
    'sequin',
    {},
    {
      sink: {
        ...escaped.sink,
        routeOf: () => ({ ...routeTo('q'), groupTemplate: '%xid%-${row.note:-none}' }),
      },
    },
  ),
  sink('sequin', {}, { sink: { ...escaped.sink, wantsRow: true } }),
  sink('tailrace'),
  sink('pg2sqs'),
  sink('pg2sqs', {}, escaped),
  sink('pg2sqs', {}, escaped),
  sink('wal2json'),
  sink('wal2json'),
  sink('cloudevents'),
  sink('cloudevents'),
];

function makeSink(number: number, blocks: readonly LogBlock[], hasCompany: boolean) {
  const name = `s${number}`;
  const envelope: Partial<Envelope> = { sinkName: name, sinkId: `id of ${name}`, ...SINKS[number]!.envelope };
  return sinkIntake({
    ...SINKS[number],
    envelope,
    hasCompany,
    blocks,
    ports: {
      markers: new SinkMarkers({ sink: name, heedsSkips: true, keep: () => undefined, logger: silent }),
    },
  });
}

const seen = (message: Pending): unknown => ({
  body: message.isParked ? 'parked' : bodyOf(message),
  jsonBytes: message.jsonBytes,
  key: message.idempotencyKey,
  group: message.group,
  waitsOn: message.waitsOn,
  second: message.secondPlace?.group,
  refusal: message.refusal,
  part: message.part,
  lacksPayload: message.lacksPayload,
  row: message.row,
});

async function seenAlone(blocks: readonly LogBlock[]): Promise<unknown[][]> {
  const all: unknown[][] = [];
  for (const number of SINKS.keys()) {
    const alone = makeSink(number, blocks, false);
    await alone.walk();
    all.push(alone.letIn().map(seen));
  }
  return all;
}

test('sinks with many settings beside each other let in what each lets in alone', async () => {
  let copied = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(step, { minLength: 1, maxLength: 60 }),
      fc.array(fc.nat(SINKS.length - 1), { maxLength: 150 }),
      fc.constantFrom(32 << 20, 200_000),
      async (steps, turns, maxBytes) => {
        const blocks = blocksFrom(steps);
        const shared = new SharedBlocks(maxBytes);
        const beside = [...SINKS.keys()].map((number) => ({
          ...makeSink(number, blocks, true),
          reader: shared.join(0),
        }));
        const take = async (number: number): Promise<void> => {
          const { reader, walker } = beside[number]!;
          const block = blocks[reader.offset / BLOCK_BYTES];
          if (block === undefined) return;
          const known = shared.find(reader);
          if (known !== undefined) copied++;
          await walker.block(known ?? shared.keep(reader, block), patient);
          shared.pass(reader, block.blockEnd);
        };
        for (const turn of turns) await take(turn);
        for (const number of SINKS.keys()) for (let i = 0; i < blocks.length; i++) await take(number);
        expect(beside.map((one) => one.letIn().map(seen))).toEqual(await seenAlone(blocks));
      },
    ),
    { numRuns: 30 },
  );
  expect(copied).toBeGreaterThan(100);
});

test('sinks whose settings agree have their rows from each other, and others do not', async () => {
  const blocks = blocksFrom([{ kind: 'insert', id: 'a', note: 'x' }]);
  const shared = new SharedBlocks();
  const readers = SINKS.map(() => shared.join(0));
  const kept = shared.keep(readers[0]!, blocks[0]!);
  const shareKeys: (string | undefined)[] = [];
  for (const number of SINKS.keys()) {
    const one = makeSink(number, blocks, true);
    await one.walker.block(kept, patient);
    shareKeys.push(tablePlan(one.letIn()[0]!).shareKey);
  }
  const [first] = shareKeys;
  // Neither what a sink is called matters, nor what else it makes of changed keys.
  expect(shareKeys.flatMap((key, number) => (key === first ? [number] : []))).toEqual([0, 1, 2, 6]);
  const none = (): never => {
    throw new Error('nobody has kept rows');
  };
  expect(kept.kept!.of(first!, none)).toBeInstanceOf(SharedRows);
  // The sinks that want the row itself, and formats whose messages are never alike.
  expect(shareKeys[10]).toBeUndefined();
  expect(shareKeys[17]).toBeUndefined();
  expect(shareKeys[13]).toBe(shareKeys[14]);
  expect(shareKeys[12]).not.toBe(shareKeys[13]);
});
