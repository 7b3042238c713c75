// What stays of a logical message for us that is larger than the log takes: that it came, and nothing that it said.
import { isMarkerPrefix } from '../core/markers.ts';

/** Type, flags, LSN. */
const PREFIX_AT = 10;
/** A length and a byte that is no text in UTF-8: nothing that a marker could say. */
const UNREADABLE = Buffer.from([0, 0, 0, 1, 0xff]);

/** A message to take the place of the one that begins with these bytes; undefined: that is no marker. */
export function longMarker(bytes: Buffer): Buffer | undefined {
  const prefixEnd = bytes.indexOf(0, PREFIX_AT);
  if (prefixEnd === -1 || !isMarkerPrefix(bytes.toString('latin1', PREFIX_AT, prefixEnd))) return undefined;
  return Buffer.concat([bytes.subarray(0, prefixEnd + 1), UNREADABLE]);
}
