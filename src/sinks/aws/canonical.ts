// What of a request a signature covers, in the one spelling that AWS knows of it: path, query, values of headers. Pure.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html#create-canonical-request

/** All but the unreserved characters. https://www.rfc-editor.org/rfc/rfc3986#section-2.3 */
export const escapeUri = (text: string): string =>
  encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** Of a path as it is sent: without empty segments and dots, and encoded once more (every service but S3). */
export function canonicalPath(path: string): string {
  const segments: string[] = [];
  for (const segment of path.split('/')) {
    if (segment === '' || segment === '.') continue;
    if (segment === '..') segments.pop();
    else segments.push(escapeUri(segment));
  }
  return `/${segments.join('/')}${segments.length > 0 && path.endsWith('/') ? '/' : ''}`;
}

/** Of a query, with its `?` or without: sorted by key, then by value. It is also the spelling that is sent. */
export function canonicalQuery(search: string): string {
  const values = new Map<string, string[]>();
  for (const [key, value] of new URLSearchParams(search)) {
    const escapedKey = escapeUri(key);
    const list = values.get(escapedKey) ?? [];
    list.push(`${escapedKey}=${escapeUri(value)}`);
    values.set(escapedKey, list);
  }
  return [...values.keys()]
    .toSorted()
    .flatMap((key) => values.get(key)!.toSorted())
    .join('&');
}

/** Of a header's value: no blanks around it, and one where there are several. */
export const canonicalValue = (value: string): string => value.replace(/[ \t]+/g, ' ').replace(/^ | $/g, '');
