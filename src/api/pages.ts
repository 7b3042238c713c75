// Lists of the management API are given page by page: which page is asked for, and where the next one begins.
import { z } from 'zod';
import { invalidRequest } from './errors.ts';

const DEFAULT_PAGE = 100;
const MAX_PAGE = 1000;

/** `after`: the id of the last one of the page before. */
export const pageQuery = {
  after: z.coerce.number().int().min(0).default(0),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).default(DEFAULT_PAGE),
};

const onlyPage = z.strictObject(pageQuery);

/** Of a list that is asked for nothing else. */
export function pageOf(query: unknown): z.output<typeof onlyPage> {
  const parsed = onlyPage.safeParse(query);
  if (parsed.success) return parsed.data;
  throw invalidRequest('after and limit are numbers', 'docs/operations.md has the requests');
}

/** What the next page comes after; null: this was the last. */
export const nextAfter = (page: readonly { readonly id: number }[], limit: number): number | null =>
  page.length < limit ? null : (page.at(-1)?.id ?? null);
