// The address of a webhook: the endpoint's URL with the sink's path, and what of it may be shown.
import { parseRowTemplate, type Template } from '../../core/template.ts';
import type { WrittenField } from '../routing/route-by-row.ts';

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

/**
 * The path of a route, which is shown, and its query, which may hold a token. Of a text or template that the configuration has taken. No
 * header has their names.
 */
export function pathFields(path: string): {
  readonly shown: WrittenField & { readonly name: '/' };
  readonly query: WrittenField & { readonly name: '?' };
} {
  const template = parseRowTemplate(path);
  const at = template.findIndex((part) => part.kind === 'text' && part.text.includes('?'));
  const split = at === -1 ? template.length : at;
  const text = template[split]?.kind === 'text' ? template[split].text : '';
  const mark = text.indexOf('?');
  const key = 'http_endpoint_path';
  return {
    shown: {
      key,
      name: '/',
      template: [...template.slice(0, split), ...textPart(mark === -1 ? '' : text.slice(0, mark))],
    },
    query: {
      key,
      name: '?',
      template: [...textPart(mark === -1 ? '' : text.slice(mark)), ...template.slice(split + 1)],
    },
  };
}

const textPart = (text: string): Template => (text === '' ? [] : [{ kind: 'text', text }]);
