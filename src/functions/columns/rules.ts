// What a configuration declares of the columns of a table, by Postgres' names: plain values that cross threads.
import type { Relation } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';

export type MaskRule =
  | { readonly kind: 'redact' | 'null' | 'hash' | 'email' }
  /** All but the last characters are hidden. */
  | { readonly kind: 'last'; readonly count: number };

export type ColumnRules = {
  /** Where they were written: `tailrace.yaml:12:7  sinks[users].tables[public.users]`. */
  readonly place: string;
  /** Not in the message. */
  readonly exclude: readonly string[];
  /** From a column's name to its name in the message. */
  readonly rename: ReadonlyMap<string, string>;
  readonly mask: ReadonlyMap<string, MaskRule>;
  /** Of updates only those that may have changed one of these columns. */
  readonly onlyWhenChanged?: {
    readonly columns: readonly string[];
    /** Of a table whose updates do not tell: does the sink wait, or is every one sent that cannot be judged? */
    readonly whenUnknown: 'refuse' | 'send';
  };
};

/** By the keys of the configuration. */
export const columnsNamedBy = ({
  exclude,
  rename,
  mask,
  onlyWhenChanged,
}: ColumnRules): Readonly<Record<string, readonly string[]>> => ({
  exclude_columns: exclude,
  rename: [...rename.keys()],
  mask: [...mask.keys()],
  only_when_changed: onlyWhenChanged?.columns ?? [],
});

/** Masks that tell nothing of a value: rows that differ in it look alike. */
export const hidesAll = ({ kind }: MaskRule): boolean => kind === 'redact' || kind === 'null';

/** `message`: what does not fit the table as it is at this change. */
export function rulesUnusable(
  { place }: Pick<ColumnRules, 'place'>,
  { schema, table }: Pick<Relation, 'schema' | 'table'>,
  { message, hint }: { readonly message: string; readonly hint: string },
): TailraceError {
  return new TailraceError(
    `${place} cannot be used for ${schema}.${table}, as it is at this change: ${message}`,
    {
      code: 'COLUMN_RULES_UNUSABLE',
      kind: 'fatal',
      hint: `${hint}, and start again; nothing is lost meanwhile`,
    },
  );
}
