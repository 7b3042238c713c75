// URLs of AWS' endpoints and of queues, as users write them: what is wrong with one, in words that never repeat a password. Pure.

/** `example`: one that would be right. */
export function faultOfAwsUrl(text: string, example: string): string | undefined {
  if (/^[A-Za-z0-9.-]+(?::\d+)?(?:\/[\w./-]*)?$/.test(text)) {
    return `a URL with its scheme is expected: http://${text}, or https://`;
  }
  // The URL parser drops line breaks in silence.
  if (/[\s\p{Cc}]/u.test(text)) return 'a URL has no blanks, line breaks or control characters';
  const url = URL.parse(text);
  if (url === null || !/^https?:$/.test(url.protocol)) {
    return `a URL with its scheme is expected, such as ${example}`;
  }
  if (url.username !== '' || url.password !== '') {
    return 'credentials do not belong into a URL: leave out what is before the @, and write access_key_id and secret_access_key';
  }
  if (url.hash !== '') return 'a URL with a fragment leads nowhere: leave out what begins with #';
  return undefined;
}
