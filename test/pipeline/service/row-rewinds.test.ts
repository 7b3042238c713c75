// What a rewind of rows plans to read of the table, beside what the log has: never by keys that are masked.
import { expect, test } from 'vitest';
import { createRowRewindControl, type RowRewindPorts } from '../../../src/pipeline/service/row-rewinds.ts';

const KEY = [{ name: 'id' }];
const SURVEY = {
  keys: [['a@secret.example']],
  whole: [false],
  rows: 1,
  changes: 0,
  sinceUs: undefined,
  unjudged: 0,
};

async function begunWith(isKeyMasked: boolean) {
  const begun: unknown[] = [];
  const ports = {
    store: {},
    backfills: {
      begin: (_: unknown, plan: { readonly tables: readonly unknown[] }) => {
        begun.push(...plan.tables);
        return { id: begun.length };
      },
    },
    thread: () => ({ request: () => Promise.resolve(SURVEY) }),
    database: () => ({}),
    settings: () => ({}),
    check: () => Promise.resolve({ key: KEY, row: undefined, takesReads: true, isKeyMasked }),
  } as unknown as RowRewindPorts;
  const wish = { schema: 'public', table: 'users', where: 'size > 1' };
  const { notes } = await createRowRewindControl(ports).rewind({ database: 'shop', sink: 'users' }, wish, {
    isDry: false,
  });
  return { begun, notes };
}

test('a condition leaves out the rows that the log has by their keys, but not where the key is masked: who looks at the backfill sees it', async () => {
  const shown = await begunWith(false);
  expect(shown.begun).toMatchObject([
    { keys: SURVEY.keys },
    { where: expect.stringContaining('a@secret.example') as string },
  ]);
  expect(shown.notes).toEqual([]);
  const masked = await begunWith(true);
  expect(masked.begun).toMatchObject([{ keys: SURVEY.keys }, { where: 'size > 1' }]);
  expect(masked.notes).toEqual([
    expect.stringMatching(/^the key is masked, .* also where the log has all of them$/),
  ]);
});
