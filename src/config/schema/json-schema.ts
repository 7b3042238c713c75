// The JSON Schema of tailrace.yaml: published for editors, walked for the documentation and for what is secret or ignored.
import { z } from 'zod';
import { fileSchema } from './file.ts';

/** The part of JSON Schema that Zod writes and this project reads. */
export type JsonSchema = {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly properties?: Readonly<Record<string, JsonSchema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: JsonSchema | boolean;
  readonly items?: JsonSchema;
  readonly oneOf?: readonly JsonSchema[];
  readonly anyOf?: readonly JsonSchema[];
  /** Ours: never shown. */
  readonly secret?: boolean;
  /** Ours: accepted without effect, and why. */
  readonly ignored?: string;
  /** Ours: a PEM text, or the file that holds it. */
  readonly pem?: boolean;
  /** Ours: the name of an entry of this top-level list. */
  readonly refersTo?: string;
  /** Ours: the key belongs to one format; what the others have instead. */
  readonly elsewhere?: string;
};

/** What no editor knows. */
const OURS = ['secret', 'ignored', 'pem', 'refersTo', 'elsewhere'] as const satisfies (keyof JsonSchema)[];

export const jsonSchemaOf = (schema: z.ZodType): JsonSchema =>
  z.toJSONSchema(schema, { io: 'input', unrepresentable: 'any' }) as JsonSchema;

/** What editors are given: the same, open for `x-` keys, and for variables where a number or a boolean stands. */
export function publishedJsonSchema(): unknown {
  const schema = z.toJSONSchema(fileSchema, {
    io: 'input',
    unrepresentable: 'any',
    override: ({ jsonSchema }) => {
      for (const key of OURS) delete jsonSchema[key];
      const { type, minimum, maximum, ...rest } = jsonSchema;
      if (type !== 'integer' && type !== 'number' && type !== 'boolean') return;
      for (const key of ['type', 'minimum', 'maximum']) delete jsonSchema[key];
      const bounds = {
        ...(minimum === undefined ? {} : { minimum }),
        ...(maximum === undefined ? {} : { maximum }),
      };
      Object.assign(jsonSchema, rest, {
        anyOf: [
          { type, ...bounds },
          { type: 'string', pattern: '\\$' },
        ],
      });
    },
  });
  return { title: 'tailrace.yaml', ...schema, patternProperties: { '^x-': {} } };
}

/** The alternatives of a schema that fit `value`: by the literal of `type` where there is one. */
export function objectSchemas(schema: JsonSchema, value: unknown): readonly JsonSchema[] {
  const options = schema.oneOf ?? schema.anyOf;
  if (options === undefined) return [schema];
  const type = typeof value === 'object' && value !== null ? (value as { type?: unknown }).type : undefined;
  const fitting = options.filter(({ properties }) => {
    const known = properties?.['type'];
    return known?.const === type || known?.enum?.includes(type) === true;
  });
  return fitting.length > 0 ? fitting : options;
}

/** Of the keys that a schema names, not of those that every object has. */
export const propertyOf = ({ properties }: JsonSchema, key: string): JsonSchema | undefined =>
  properties !== undefined && Object.hasOwn(properties, key) ? properties[key] : undefined;

/** The schema of what stands at `key` in `value`. */
export function childSchema(
  schema: JsonSchema,
  key: string | number,
  value: unknown,
): JsonSchema | undefined {
  for (const option of objectSchemas(schema, value)) {
    if (typeof key === 'number') {
      if (option.items !== undefined) return option.items;
      continue;
    }
    const child = propertyOf(option, key);
    if (child !== undefined) return child;
    if (typeof option.additionalProperties === 'object') return option.additionalProperties;
  }
  return undefined;
}

/** Calls `visit` for everything in `value` that the schema describes. */
export function walkSchema(
  schema: JsonSchema,
  value: unknown,
  visit: (path: readonly (string | number)[], schema: JsonSchema, value: unknown) => void,
  path: readonly (string | number)[] = [],
): void {
  visit(path, schema, value);
  if (typeof value !== 'object' || value === null) return;
  const entries = Array.isArray(value) ? [...value.entries()] : Object.entries(value);
  for (const [key, child] of entries) {
    const described = childSchema(schema, key, value);
    if (described !== undefined && child !== undefined) walkSchema(described, child, visit, [...path, key]);
  }
}
