// The key of a row as an array of texts, as Postgres prints them: `metadata.record_pks`. Hot file (bench/micro/render.ts).
import type { ByteWriter, Literal } from '../core/byte-writer.ts';
import { NULL_VALUE, UNCHANGED_TOAST, type RowEvent } from '../core/change.ts';
import { escapeFrom, literal } from '../core/encoding.ts';
import { writeJsonString } from '../core/json.ts';
import type { CompileInput } from './format.ts';

const COMMA = 0x2c;
const NULL: Literal = literal('null', 'json');

type KeyColumn = {
  /** Its place in the relation. */
  readonly index: number;
  /** Part of the replica identity: an old key tuple knows it. */
  readonly identity: boolean;
};

export class KeyTexts {
  /** In the order of the table's columns, as Sequin has them. */
  readonly #columns: readonly KeyColumn[];
  readonly #escaped: boolean;

  constructor({ relation, encoding }: Pick<CompileInput, 'relation' | 'encoding'>) {
    this.#escaped = encoding === 'json-string';
    this.#columns = relation.columns.flatMap(({ name, identity }, index) =>
      relation.key.includes(name) ? [{ index, identity }] : [],
    );
  }

  /** Appends the members of the array. One that Postgres did not send is null: others keep their places. */
  write(event: RowEvent, writer: ByteWriter): void {
    let isFirst = true;
    for (const column of this.#columns) {
      if (!isFirst) writer.byte(COMMA);
      isFirst = false;
      this.#writeText(column, event, writer);
    }
  }

  #writeText({ index, identity }: KeyColumn, event: RowEvent, writer: ByteWriter): void {
    const isNew = event.action !== 'delete' && event.newTuple.lengths[index] !== UNCHANGED_TOAST;
    const isOld = event.oldKind === 'full' || (event.oldKind === 'key' && identity);
    const tuple = isNew ? event.newTuple : event.oldTuple;
    const length = isNew || isOld ? tuple.lengths[index]! : NULL_VALUE;
    if (length < 0) return writer.literal(NULL);
    const start = writer.length;
    writeJsonString(event.bytes, tuple.starts[index]!, length, writer);
    if (this.#escaped) escapeFrom(start, writer);
  }
}
