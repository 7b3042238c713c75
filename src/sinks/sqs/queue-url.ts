// What a queue's URL says: its name and its region.
import { regionOfHost } from '../aws/region.ts';

/** `https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo` → `users.fifo`; empty when there is no name. */
export function queueNameOfUrl(url: string): string {
  const path = URL.parse(url)?.pathname.replace(/\/+$/, '') ?? '';
  return path.slice(path.lastIndexOf('/') + 1);
}

/** The region that an AWS queue URL names; undefined for any other host. */
export const regionOfQueueUrl = (url: string): string | undefined =>
  regionOfHost('sqs', URL.parse(url)?.hostname ?? '');
