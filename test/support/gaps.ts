// A gap as a source declares it, for tests of what records, shows and accepts it.
import type { GapDeclaration } from '../../src/core/gaps.ts';

export const ITEMS = { schema: 'public', table: 'items' } as const;

/** From 0/10 to 0/20, of the table `items`. */
export const declaredGap = (
  changes: { readonly [Key in keyof GapDeclaration]?: GapDeclaration[Key] | undefined } = {},
): GapDeclaration =>
  withoutUndefined({
    cause: 'member_changed',
    from: '0/10',
    to: '0/20',
    reason: 'because',
    tables: [ITEMS],
    halts: true,
    skips: false,
    ends: [],
    ...changes,
  });

const withoutUndefined = (fields: object): GapDeclaration =>
  Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as GapDeclaration;
