// What a filter's columns are: those of the row after the change and before it, and what is known of the change itself.
import type { RowAction, RowEvent, TextUnit } from '../../core/change.ts';
import type { SqlType } from './catalog/types.ts';
import type { Collation } from './collations.ts';
import type { PlacesOf } from './operations/table.ts';
import type { ResolvedChoice } from './resolved-choice.ts';
import type { Image } from './syntax.ts';
import type { Result } from './values/value.ts';

/** What is known of the change beside its columns. */
export type ChangeFacts = {
  readonly action: RowAction | 'read';
  /** Under the names that the sink reads it by. */
  readonly schema: string;
  readonly table: string;
  /** Microseconds since 1970. */
  readonly commitTimeUs: bigint;
  /** A JSON document. */
  readonly annotations: string | undefined;
};

/** The row in hand: one value, filled again for each row. */
export type FilterRow = { event: RowEvent; change: ChangeFacts };

export type ScopedColumn = {
  /** Undefined: a filter does not know this type. */
  readonly type: SqlType | undefined;
  /** As a message names it. */
  readonly typeText: string;
  readonly collation: Collation | undefined;
  readonly read: (row: FilterRow) => Result;
};

/** What types are resolved with. */
export type Coercing = {
  readonly placesOf: PlacesOf;
  readonly defaultCollation: Collation;
  /** Of texts beyond ASCII, what is another in the database. */
  readonly foreignUnit: TextUnit | undefined;
  /** Told of every choice, by whoever compares them with the server's. */
  readonly chosen?: (choice: ResolvedChoice) => void;
};

export type Scope = Coercing & {
  /** Undefined: there is no such column. A text: why it cannot be asked for. */
  column(image: Image, name: string): ScopedColumn | string | undefined;
  names(image: Image): readonly string[];
};
