// A label of an enum that came after the log described its table: the catalog is asked once, and only who does not find it there is an error.
import { expect, test } from 'vitest';
import { loadFilterParser } from '../../../src/functions/where/parser.ts';
import { labelLookUp } from '../../../src/pipeline/intake/where-server/enum-labels.ts';
import { whereStep } from '../../../src/pipeline/intake/where.ts';
import { encodeEnrichment } from '../../../src/pgoutput/enrichment.ts';
import { begin, commit } from '../../log/stream.ts';
import { sinkIntake } from '../../support/intake.ts';
import { blocksOf } from '../../support/log-blocks.ts';
import { insertMessage, relationMessage, UNCHANGED, updateMessage } from '../../support/pgoutput-messages.ts';

const MOOD = 16_400;
const T = { commitLsn: 100n, rows: 0 };
const parse = await loadFilterParser();

const columns = [
  { name: 'id', type: 23, identity: true },
  { name: 'mood', type: MOOD },
];
const table = [
  relationMessage({ id: 1, schema: 'public', table: 't1', identity: 'd', columns }),
  encodeEnrichment({
    relationId: 1,
    key: ['id'],
    keySince: 0,
    types: new Map([[MOOD, { kind: 'enum', name: 'mood', labels: ['sad', 'ok'] } as const]]),
  }),
];

/** `labels`: what the catalog has now; a text: it does not answer, and why. */
async function judged(
  text: string,
  labels: readonly string[] | undefined | 'late',
  rows: readonly string[],
  before: readonly Buffer[] = [],
) {
  const asked: number[] = [];
  const unanswered: string[] = [];
  const lookUp = labelLookUp({
    labelsOf: async (oid) => {
      asked.push(oid);
      return labels === 'late' ? new Promise(() => undefined) : labels;
    },
    unanswered: (error) => unanswered.push((error as Error).message),
    sleep: async () => (labels === 'late' ? undefined : new Promise(() => undefined)),
  });
  const where = { ...parse(text), place: 'tailrace.yaml:5:5  sinks[users].where' };
  const settings = {
    name: 'users',
    tables: [],
    onAbsent: 'dead_letter',
    deletesOutside: 'deliver',
    where,
  } as const;
  const messages = rows.map((mood, i) => insertMessage(1, [String(i), mood]));
  const last = updateMessage(1, [String(rows.length), 'ok']);
  const h = sinkIntake({
    settings,
    blocks: blocksOf([begin(T), ...table, ...before, ...messages, last, commit(T)]),
    ports: { steps: { where: whereStep(settings, { lookUp })! } },
  });
  await h.walk();
  await h.drained();
  const dead = new Map(h.dead.map(({ message, code }) => [message, code]));
  return {
    asked,
    unanswered,
    sent: h.settled
      .toSorted((a, b) => a.index - b.index)
      .map((message) => dead.get(message) ?? message.index),
  };
}

test('a label that was added is asked for once, and rows keep their order and their verdicts', async () => {
  const found = await judged(
    "mood > 'sad'",
    ['sad', 'meh', 'ok', 'great'],
    ['ok', 'sad', 'great', 'meh', 'ok'],
  );
  expect(found).toEqual({ asked: [MOOD], unanswered: [], sent: [0, 2, 3, 4, 5] });
});

test('one filter asks once, however often it compares; a constant is looked up like a value', async () => {
  const text = "mood > 'new' or (mood, id) > ('great', 0) or greatest(mood, 'great') = 'top'";
  const found = await judged(text, ['new', 'sad', 'ok', 'great', 'top'], ['sad', 'great']);
  expect(found).toEqual({ asked: [MOOD], unanswered: [], sent: [0, 1, 2] });
});

test('a label that the catalog does not have, or whose neighbours were renamed, is an error of its row', async () => {
  const missing = await judged("mood > 'sad'", ['sad', 'ok'], ['great', 'ok', 'great']);
  expect(missing).toEqual({ asked: [MOOD], unanswered: [], sent: ['WHERE_ERROR', 1, 'WHERE_ERROR', 3] });
  const renamed = await judged("mood > 'sad'", ['unhappy', 'ok', 'great'], ['great', 'ok']);
  expect(renamed.sent).toEqual(['WHERE_ERROR', 1, 2]);
  expect((await judged("mood > 'sad'", undefined, ['great'])).sent).toEqual(['WHERE_ERROR', 1]);
});

test('a server that does not answer in time stops no sink', async () => {
  const found = await judged("mood > 'sad'", 'late', ['great', 'great', 'ok']);
  expect(found.sent).toEqual(['WHERE_ERROR', 'WHERE_ERROR', 2, 3]);
  expect(found.asked).toEqual([MOOD]);
  expect(found.unanswered).toEqual(['no answer within 3000 ms']);
});

test('rows before the one that waits for a label are judged once: what is absent of them counts once', async () => {
  const absent = Array.from({ length: 600 }, (_, i) => updateMessage(1, [String(1000 + i), UNCHANGED]));
  const { asked, sent } = await judged("mood > 'sad'", ['sad', 'ok', 'great'], ['great'], absent);
  expect(asked).toEqual([MOOD]);
  expect(sent).toEqual([...absent.map(() => 'WHERE_ABSENT'), 600, 601]);
});
