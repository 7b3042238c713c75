// An event whose attributes go into headers, and its data into the body: CloudEvents' binary mode.
// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/http-protocol-binding.md#313-metadata-headers
import type { Message } from '../../core/message.ts';

export type Content = { readonly body: Buffer; readonly attributes: Readonly<Record<string, string>> };

/** Attributes are texts, in which a quote is escaped: so this is found in front of the data only. */
const DATA = Buffer.from(',"data":');
/** No header of its own: the request's content type says it. */
const CONTENT_TYPE_ATTRIBUTE = 'datacontenttype';

/** The body is a copy: the buffers of messages are written on, and a dead socket may hold what it was given. */
export function contentOfEvent({ buffer, start, end }: Message, headerPrefix: string): Content {
  const at = buffer.indexOf(DATA, start);
  if (at === -1 || at >= end) throw new Error('an event has no data');
  const event = JSON.parse(`${buffer.toString('utf8', start, at)}}`) as Record<string, string>;
  const attributes = Object.entries(event).flatMap(([name, value]) =>
    name === CONTENT_TYPE_ATTRIBUTE ? [] : [[headerPrefix + name, headerText(value)] as const],
  );
  const body = Buffer.from(buffer.subarray(at + DATA.length, end - 1));
  return { body, attributes: Object.fromEntries(attributes) };
}

/** Printable ASCII without quote and percent sign stays; everything else, a line break too, is percent-encoded UTF-8. */
const headerText = (value: string): string =>
  value.replaceAll(/[^!#$&-~]/gu, (character) =>
    [...Buffer.from(character)]
      .map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, '0')}`)
      .join(''),
  );
