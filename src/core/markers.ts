// What applications say about their transactions with pg_logical_emit_message: annotations, and what sinks shall skip. Pure.
// https://www.postgresql.org/docs/current/functions-admin.html#FUNCTIONS-REPLICATION (pg_logical_emit_message)
import { inOneLine, withoutNoncharacters } from './json.ts';

export type Marker =
  /** For the changes that follow in the transaction: a JSON document in one line; undefined: cleared. */
  | { readonly kind: 'annotate'; readonly annotations: string | undefined }
  /** Sinks by name skip what follows in the transaction; undefined: every sink does. */
  | { readonly kind: 'skip'; readonly sinks: readonly string[] | undefined }
  /** An annotation that is no JSON: it takes the place of the one before, and nothing is known of it. */
  | { readonly kind: 'unreadable annotation' }
  | { readonly kind: 'unreadable skip' };

const SKIP = 'tailrace:skip';
/** Sequin's own prefix, so that its users' applications go on as they are, and ours. */
const ANNOTATIONS = /^(?:sequin|tailrace):transaction_annotations\.(set|clear)$/;

/** Is a message with this prefix for us to read? */
export const isMarkerPrefix = (prefix: string): boolean => prefix === SKIP || ANNOTATIONS.test(prefix);

/** What a transactional message says to us; undefined: it is somebody else's. */
export function parseMarker(prefix: string, content: Buffer): Marker | undefined {
  if (prefix === SKIP) return parseSkip(content);
  const operation = ANNOTATIONS.exec(prefix)?.[1];
  if (operation === undefined) return undefined;
  if (operation === 'clear') return { kind: 'annotate', annotations: undefined };
  const text = decodeText(content);
  if (text === undefined || parseJson(text) === undefined) return { kind: 'unreadable annotation' };
  return { kind: 'annotate', annotations: inOneLine(withoutNoncharacters(text)) };
}

/** Nothing, a JSON list of names, or names with commas between them. */
function parseSkip(content: Buffer): Marker {
  const text = decodeText(content)?.trim();
  if (text === undefined) return { kind: 'unreadable skip' };
  if (text === '') return { kind: 'skip', sinks: undefined };
  if (!/^[[{"]/.test(text)) return { kind: 'skip', sinks: text.split(',').map((name) => name.trim()) };
  const sinks = parseJson(text)?.value;
  const isList = Array.isArray(sinks) && sinks.every((name): name is string => typeof name === 'string');
  return isList ? { kind: 'skip', sinks } : { kind: 'unreadable skip' };
}

/** A message may hold any bytes; what is text is UTF-8 by now (postgres/encoding). */
function decodeText(content: Buffer): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch {
    return undefined;
  }
}

function parseJson(text: string): { readonly value: unknown } | undefined {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch {
    return undefined;
  }
}
