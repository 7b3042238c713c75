// A disk that is nearly full: of a write it takes what fits, and of the next nothing.

/** What a call of `writeSync` is to write, and where. */
export type Writing = { readonly bytes: Buffer; readonly position: unknown };

export const bytesOf = (data: NodeJS.ArrayBufferView): Buffer =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength);

/** Of the arguments after the file descriptor, in each of the ways that Node knows. */
export function writingOf(data: NodeJS.ArrayBufferView | string, rest: readonly unknown[]): Writing {
  const [first, second, third] = rest;
  if (typeof data === 'string') return { bytes: Buffer.from(data), position: first };
  const named = typeof first === 'object' && first !== null;
  const { offset, length, position } = (
    named ? first : { offset: first, length: second, position: third }
  ) as { offset?: number; length?: number | null; position?: unknown };
  const from = offset ?? 0;
  const all = bytesOf(data);
  return { bytes: all.subarray(from, typeof length === 'number' ? from + length : all.length), position };
}

/** How many of so many bytes fit, taken off `disk.room`. Throws where there is no room at all. */
export function takeRoom(disk: { room: number }, wanted: number): number {
  if (wanted === 0) return 0;
  if (disk.room === 0) throw Object.assign(new Error('no space is left'), { code: 'ENOSPC' });
  const taken = Math.min(disk.room, wanted);
  disk.room -= taken;
  return taken;
}
