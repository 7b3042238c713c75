// What a queue's URL says: its name and its region.
import { regionOfHost } from '../aws/region.ts';

/**
 * The path of a queue's URL, without a slash at its end; empty when there is none. Its text, not a parsed URL: emulators
 * answer with hosts that no URL may have (`sqs.us-east-1.127.0.0.1`), and nobody connects to them.
 */
export const pathOfQueueUrl = (url: string): string =>
  /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*([^?#]*)/i.exec(url)?.[1]?.replace(/\/+$/, '') ?? '';

/** `https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo` → `users.fifo`; empty when there is no name. */
export function queueNameOfUrl(url: string): string {
  const path = pathOfQueueUrl(url);
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The region that an AWS queue URL names; undefined for any other host. */
export const regionOfQueueUrl = (url: string): string | undefined =>
  regionOfHost('sqs', URL.parse(url)?.hostname ?? '');
