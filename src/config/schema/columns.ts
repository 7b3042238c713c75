// The schema of what is declared of a table's columns: `tables[].columns` and the keys beside it. Columns are named as in Postgres.
import { z } from 'zod';
import { TailraceError } from '../../core/errors.ts';
import { jsonText } from '../../core/json.ts';
import { isTemplate, parseRowTemplate } from '../../core/template.ts';
import { MAX_DEPTH } from '../../functions/columns/flatten.ts';
import type { AddRule, MaskRule } from '../../functions/columns/rules.ts';
import { nonEmpty, secret } from './parts.ts';

/** Longer ends of values hide little. */
const MAX_LAST = 64;
/** Of a key that is shorter, every value could be tried. */
const MIN_KEY_CHARACTERS = 16;

const MASK_EXPECTED = `a mask is redact, null, hash, email, or { last: N } with N from 1 to ${MAX_LAST}`;

const maskRule = () =>
  z
    .union(
      [
        z.enum(['redact', 'null', 'hash', 'email']),
        z.null(),
        z.strictObject({ last: z.int().min(1).max(MAX_LAST) }),
      ],
      { error: MASK_EXPECTED },
    )
    .transform((written): MaskRule => {
      if (written === null) return { kind: 'null' };
      return typeof written === 'string' ? { kind: written } : { kind: 'last', count: written.last };
    });

const CHANGED_EXPECTED =
  'columns are expected here, [price, stock], or a mapping, { columns: [price, stock], when_unknown: send }';

const changedRule = () =>
  z
    .union(
      [
        z.array(nonEmpty()).min(1),
        z.strictObject({
          columns: z.array(nonEmpty()).min(1),
          when_unknown: z.enum(['refuse', 'send']).default('refuse'),
        }),
      ],
      { error: CHANGED_EXPECTED },
    )
    .transform((written) =>
      Array.isArray(written)
        ? { columns: written, whenUnknown: 'refuse' as const }
        : { columns: written.columns, whenUnknown: written.when_unknown },
    )
    .optional();

const flattenRule = () =>
  z
    .union(
      [
        z.literal(true),
        z.strictObject({
          separator: z.string().min(1).max(8).default('_'),
          depth: z.int().min(1).max(MAX_DEPTH).default(MAX_DEPTH),
        }),
      ],
      { error: 'true is expected here, or a mapping, { separator: ".", depth: 2 }' },
    )
    .transform((written) => (written === true ? { separator: '_', depth: MAX_DEPTH } : written));

/** A text with `${` is a template; anything else is a constant. */
const addRule = () =>
  z.unknown().transform((written, context): AddRule => {
    if (typeof written !== 'string' || !isTemplate(written))
      return { kind: 'constant', json: jsonText(written ?? null) };
    const message = faultOfTemplate(written);
    if (message === undefined) return { kind: 'template', template: written };
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

function faultOfTemplate(text: string): string | undefined {
  try {
    const isOfAction = parseRowTemplate(text).some((part) => part.kind === 'action');
    return isOfAction ? 'the action is no part of the row: messages say it beside' : undefined;
  } catch (error) {
    if (error instanceof TailraceError) return `${error.message}: ${error.hint}`;
    throw error;
  }
}

const byColumn = <S extends z.ZodType>(rule: S) => z.record(nonEmpty(), rule).optional();

/** A text of its own for the key of all hashes of a sink. */
export const maskKey = () =>
  secret(
    z
      .string()
      .min(
        MIN_KEY_CHARACTERS,
        `a key has ${MIN_KEY_CHARACTERS} characters at least: shorter ones can be guessed`,
      ),
  )
    .optional()
    .describe(
      'The key of `mask: hash`, and of the hashes that stand for masked values in message groups: at least 16 characters. Sinks with the same key give the same hash for the same value.',
    );

export const columnRules = {
  columns: z
    .array(nonEmpty())
    .min(1)
    .optional()
    .describe('Only these columns go into the message (and the key). Default: all.'),
  exclude_columns: z
    .array(nonEmpty())
    .min(1)
    .optional()
    .describe('These columns do not go into the message. A column of the key must: mask it.'),
  rename: byColumn(nonEmpty()).describe('By column, its name in the message.'),
  flatten: byColumn(flattenRule()).describe(
    'By column, a composite or jsonb one: its members are members of the message, `address_city`. `true`, or `{ separator: ".", depth: 2 }`. docs/columns.md',
  ),
  add: byColumn(addRule()).describe(
    'By name in the message, what the row has beside its columns: a constant, or a template over the row, `"${row.first} ${row.last}"`. docs/columns.md',
  ),
  only_when_changed: changedRule().describe(
    'Of updates only those that changed one of these columns, or may have: `[price, stock]`. Needs `REPLICA IDENTITY FULL`, or `{ columns: [price, stock], when_unknown: send }`. docs/columns.md',
  ),
  mask: byColumn(maskRule()).describe(
    'By column, what stands for its values wherever they would leave Tailrace: `redact` (`***`), `null`, `hash` (HMAC-SHA-256 with `mask_key`), `email` (`a***@example.com`), `{ last: 4 }` (`***1234`). NULL stays NULL. docs/columns.md',
  ),
};
