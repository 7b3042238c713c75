// pgoutput messages made by hand, for tests that need no server.
// https://www.postgresql.org/docs/current/protocol-logicalrep-message-formats.html
import { MESSAGE } from '../../src/pgoutput/messages.ts';

/** A column of a row: its text, NULL, or an unchanged TOAST value. */
export type Cell = string | Buffer | null | typeof UNCHANGED;
export const UNCHANGED = Symbol('unchanged TOAST');

export type ColumnSpec = {
  readonly name: string;
  readonly type: number;
  readonly identity?: boolean;
  readonly typeModifier?: number;
};

export const uint8 = (value: number): Buffer => Buffer.from([value]);
export function uint16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}
export function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(value | 0);
  return bytes;
}
export function int64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64BE(BigInt.asIntN(64, value));
  return bytes;
}
export const text = (value: string): Buffer => Buffer.from(`${value}\0`);

export const relationMessage = (relation: {
  readonly id: number;
  readonly schema: string;
  readonly table: string;
  readonly identity: 'd' | 'n' | 'f' | 'i';
  readonly columns: readonly ColumnSpec[];
}): Buffer =>
  Buffer.concat([
    uint8(MESSAGE.relation),
    int32(relation.id),
    text(relation.schema),
    text(relation.table),
    Buffer.from(relation.identity),
    uint16(relation.columns.length),
    ...relation.columns.flatMap((column) => [
      uint8(column.identity === true ? 1 : 0),
      text(column.name),
      int32(column.type),
      int32(column.typeModifier ?? -1),
    ]),
  ]);

function cell(value: Cell): Buffer {
  if (value === null) return Buffer.from('n');
  if (value === UNCHANGED) return Buffer.from('u');
  const content = Buffer.from(value as string);
  return Buffer.concat([Buffer.from('t'), int32(content.length), content]);
}

const tuple = (marker: 'N' | 'K' | 'O', cells: readonly Cell[]): Buffer =>
  Buffer.concat([Buffer.from(marker), uint16(cells.length), ...cells.map(cell)]);

export const insertMessage = (relationId: number, row: readonly Cell[]): Buffer =>
  Buffer.concat([uint8(MESSAGE.insert), int32(relationId), tuple('N', row)]);

type OldRow = { readonly kind: 'key' | 'full'; readonly row: readonly Cell[] };

const oldTuple = (old: OldRow): Buffer => tuple(old.kind === 'key' ? 'K' : 'O', old.row);

export const updateMessage = (relationId: number, row: readonly Cell[], old?: OldRow): Buffer =>
  Buffer.concat([
    uint8(MESSAGE.update),
    int32(relationId),
    ...(old === undefined ? [] : [oldTuple(old)]),
    tuple('N', row),
  ]);

/** A transactional one. */
export const logicalMessage = (prefix: string, content: string): Buffer =>
  Buffer.concat([
    uint8(MESSAGE.logicalMessage),
    uint8(1),
    int64(0n),
    text(prefix),
    int32(Buffer.byteLength(content)),
    Buffer.from(content),
  ]);

export const deleteMessage = (relationId: number, old: OldRow): Buffer =>
  Buffer.concat([uint8(MESSAGE.delete), int32(relationId), oldTuple(old)]);

export const truncateMessage = (relationIds: readonly number[]): Buffer =>
  Buffer.concat([
    uint8(MESSAGE.truncate),
    int32(relationIds.length),
    uint8(0),
    ...relationIds.map((relationId) => int32(relationId)),
  ]);
