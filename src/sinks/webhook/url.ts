// The address of a webhook: the endpoint's URL with the sink's path, and what of it may be shown.

/** The URL of `base` with `path` (which begins with `/` or `?`, or is empty) appended to its path. */
export function webhookUrl(base: string, path: string): URL {
  const url = new URL(base);
  url.hash = '';
  const mark = path.indexOf('?');
  const [pathname, query] = mark === -1 ? [path, ''] : [path.slice(0, mark), path.slice(mark + 1)];
  if (pathname !== '') url.pathname = url.pathname.replace(/\/$/, '') + pathname;
  if (query !== '') url.search = url.search === '' ? query : `${url.search}&${query}`;
  return url;
}

/** Invariant 9: a query may hold a token, so status and logs do without it. */
export const shownUrl = (url: URL): string => url.origin + url.pathname;
