// The proofs of shapes that one connection of the source gives, resting on the looks that are kept.
import { TailraceError } from '../../core/errors.ts';
import { formatTableName } from '../../core/selection.ts';
import { relationIdOfRow } from '../../pgoutput/messages.ts';
import { isRow } from '../../pgoutput/row-numbers.ts';
import { RANGE, type StreamBatch } from '../../postgres/replication/stream.ts';
import { ShapeProofs } from '../../postgres/shapes/proofs.ts';
import { remembersShapes } from '../../postgres/shapes/remembering.ts';
import type { LookKeeper, Looking } from './looks.ts';
import type { SourceOptions } from './options.ts';

export function openProofs(
  looking: Looking,
  { options, looks }: { readonly options: SourceOptions; readonly looks: LookKeeper },
): ShapeProofs {
  const { store, settings, logger } = options;
  return new ShapeProofs({
    client: looking.client,
    seenSince: (type, version) => store.looks.sawShape(settings.name, looking.server, { type, version }),
    changed: async () => void (await looks.again(looking)),
    becameText: ({ schema, table }, types) =>
      logger.warn(
        { database: settings.name, table: formatTableName({ schema, table }), types },
        `table ${formatTableName({ schema, table })}: values of ${types.join(', ')} are Postgres' text where nothing proves which attributes the type had when a row was written`,
      ),
    remembered: remembersShapes(looking.serverVersion)
      ? () => {
          throw shapesRemembered(settings.name);
        }
      : undefined,
  });
}

const shapesRemembered = (name: string): TailraceError =>
  new TailraceError(
    `database "${name}": a type was altered while a transaction that uses it was open, and this version of Postgres may go on with what it remembers of it`,
    {
      code: 'SHAPES_REMEMBERED',
      kind: 'retryable',
      hint: 'Tailrace connects again by itself, which makes it right; Postgres 13.21, 14.18, 15.13, 16.9 and 17.5 mend it',
    },
  );

/** The relations that have rows in a batch, from message number `from` on. */
export function relationsFrom(
  { bytes, starts, kinds, count }: StreamBatch,
  from: number,
): ReadonlySet<number> {
  const relations = new Set<number>();
  for (let i = from; i < count; i++) {
    const start = starts[i]!;
    if (kinds[i] === RANGE.whole && isRow(bytes[start]!)) relations.add(relationIdOfRow(bytes, start));
  }
  return relations;
}
