// What a configuration declares of the columns of a table, by Postgres' names: plain values that cross threads.
import type { Relation } from '../../core/change.ts';
import { TailraceError } from '../../core/errors.ts';
import { parseRowTemplate, templateColumns } from '../../core/template.ts';

export type MaskRule =
  | { readonly kind: 'redact' | 'null' | 'hash' | 'email' }
  /** All but the last characters are hidden. */
  | { readonly kind: 'last'; readonly count: number };

export type FlattenRule = {
  /** Between the column's name and the member's. */
  readonly separator: string;
  /** 1: the members of the value; 2: and theirs. */
  readonly depth: number;
};

export type AddRule =
  | { readonly kind: 'constant'; readonly json: string }
  /** Over the row, as core/template.ts reads it. */
  | { readonly kind: 'template'; readonly template: string };

export const NO_RULES: Omit<ColumnRules, 'place'> = {
  exclude: [],
  rename: new Map(),
  mask: new Map(),
  flatten: new Map(),
  add: new Map(),
};

/** By the names of the members, the columns that their templates name. */
export const columnsAddedFrom = ({ add }: Pick<ColumnRules, 'add'>): ReadonlyMap<string, readonly string[]> =>
  new Map(
    [...add].map(([name, rule]) => [
      name,
      rule.kind === 'constant' ? [] : templateColumns(parseRowTemplate(rule.template)),
    ]),
  );

export type ColumnRules = {
  /** Where they were written: `tailrace.yaml:12:7  sinks[users].tables[public.users]`. */
  readonly place: string;
  /** Not in the message. */
  readonly exclude: readonly string[];
  /** From a column's name to its name in the message. */
  readonly rename: ReadonlyMap<string, string>;
  readonly mask: ReadonlyMap<string, MaskRule>;
  /** The members of a composite or a JSON object are members of the message. */
  readonly flatten: ReadonlyMap<string, FlattenRule>;
  /** By their names in the message, members that are no column's. */
  readonly add: ReadonlyMap<string, AddRule>;
  /** Of updates only those that may have changed one of these columns. */
  readonly onlyWhenChanged?: {
    readonly columns: readonly string[];
    /** Of a table whose updates do not tell: does the sink wait, or is every one sent that cannot be judged? */
    readonly whenUnknown: 'refuse' | 'send';
  };
};

/** By the keys of the configuration. */
export const columnsNamedBy = (rules: ColumnRules): Readonly<Record<string, readonly string[]>> => ({
  exclude_columns: rules.exclude,
  rename: [...rules.rename.keys()],
  mask: [...rules.mask.keys()],
  flatten: [...rules.flatten.keys()],
  add: [...columnsAddedFrom(rules).values()].flat(),
  only_when_changed: rules.onlyWhenChanged?.columns ?? [],
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
