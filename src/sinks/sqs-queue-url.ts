// What a queue's URL says: its name and its region.

/** `https://sqs.eu-west-1.amazonaws.com/123456789012/users.fifo` → `users.fifo`; empty when there is no name. */
export function queueNameOfUrl(url: string): string {
  const path = URL.parse(url)?.pathname.replace(/\/+$/, '') ?? '';
  return path.slice(path.lastIndexOf('/') + 1);
}

// Standard, FIPS, dual-stack, VPC and legacy (`<region>.queue.amazonaws.com`) endpoints.
// https://docs.aws.amazon.com/general/latest/gr/sqs-service.html
const MODERN_HOST = /(?:^|\.)sqs(?:-fips)?\.([a-z0-9-]+)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws)$/;
const LEGACY_HOST = /^(?:([a-z0-9-]+)\.)?queue\.amazonaws\.com(?:\.cn)?$/;

/** The region that an AWS queue URL names; undefined for any other host. */
export function regionOfQueueUrl(url: string): string | undefined {
  const hostname = URL.parse(url)?.hostname ?? '';
  const legacy = LEGACY_HOST.exec(hostname);
  if (legacy !== null) return legacy[1] ?? 'us-east-1';
  return MODERN_HOST.exec(hostname)?.[1];
}
