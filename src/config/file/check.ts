// Holds a file against its schema: parsed values, or every fault at its place in the operator's words.
import { z } from 'zod';
import { nearestName } from '../../core/nearest-name.ts';
import { MAX_ADVISED, type Fault } from './faults.ts';
import { setAt, valueAt, type FileValue, type Path } from './file-value.ts';
import { KEYS_NOT_YET, VALUES_NOT_YET } from '../schema/file.ts';
import { childSchema, objectSchemas, type JsonSchema } from '../schema/json-schema.ts';

/** Parses `file` by `schema`; its faults go to `faults`, undefined when there are any. */
export function checkFile<S extends z.ZodType>(
  schema: S,
  jsonSchema: JsonSchema,
  file: FileValue,
  faults: Fault[],
): z.output<S> | undefined {
  let value = file.value;
  let result = schema.safeParse(value);
  if (!result.success) {
    const reread = applyOtherReadings(value, result.error.issues, file);
    if (reread !== undefined) {
      value = reread;
      result = schema.safeParse(value);
    }
  }
  if (result.success) return result.data;
  // A value whose variable is not set is not told again for what it is without it.
  const told = new Set(file.faults.map(placeOf));
  const found = result.error.issues.flatMap((issue) => faultsOf(issue, { value, jsonSchema, file }));
  faults.push(...found.filter((fault) => fault.line === undefined || !told.has(placeOf(fault))));
  return undefined;
}

/** Where the schema wants a text and YAML read a number, or the reverse, takes the scalar's other reading. */
function applyOtherReadings(value: unknown, issues: readonly z.core.$ZodIssue[], file: FileValue): unknown {
  let changed = false;
  const copy = structuredClone(value);
  for (const issue of scalarIssues(issues)) {
    const path = issue.path as Path;
    const other = file.otherReading(path);
    if (other === undefined || !wants(issue, other)) continue;
    setAt(copy as object, path, other);
    changed = true;
  }
  return changed ? copy : undefined;
}

type ScalarIssue = Extract<z.core.$ZodIssue, { code: 'invalid_type' | 'invalid_value' }>;

/** Of every alternative too: where none fits, the other reading may be what one of them wants. */
function scalarIssues(issues: readonly z.core.$ZodIssue[], path: Path = []): ScalarIssue[] {
  return issues.flatMap((issue): ScalarIssue[] => {
    const at = [...path, ...(issue.path as Path)];
    if (issue.code === 'invalid_union') return issue.errors.flatMap((errors) => scalarIssues(errors, at));
    return issue.code === 'invalid_type' || issue.code === 'invalid_value' ? [{ ...issue, path: at }] : [];
  });
}

function wants(issue: ScalarIssue, reading: string | number | boolean): boolean {
  if (issue.code === 'invalid_value') return typeof reading === 'string' || issue.values.includes(reading);
  return typeof reading === (issue.expected === 'int' ? 'number' : issue.expected);
}

/** What is wrong in a list, where only one alternative is a list at all. */
function alternativeMeant(
  alternatives: readonly (readonly z.core.$ZodIssue[])[],
): readonly z.core.$ZodIssue[] | undefined {
  const isOther = ({ code, path }: z.core.$ZodIssue): boolean =>
    path.length === 0 && (code === 'invalid_type' || code === 'invalid_value');
  const fitting = alternatives.filter((issues) => !issues.some(isOther));
  return fitting.length === 1 ? fitting[0] : undefined;
}

const placeOf = ({ line, column }: Fault): string => `${line}:${column}`;

type Subject = { readonly value: unknown; readonly jsonSchema: JsonSchema; readonly file: FileValue };

function faultsOf(issue: z.core.$ZodIssue, subject: Subject): Fault[] {
  const { value, file } = subject;
  const path = issue.path as Path;
  const found = valueAt(value, path);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key, i) => unknownKey([...path, key], subject, i < MAX_ADVISED));
  if (issue.code === 'invalid_union' && issue.discriminator !== undefined) {
    const allowed = ((issue as { options?: readonly unknown[] }).options ?? []).map(String);
    return [wrongValue(path, found, allowed, subject)];
  }
  if (found === undefined && (issue.code === 'invalid_type' || issue.code === 'invalid_union')) {
    return [file.fault(path, 'this is missing')];
  }
  const isList = issue.code === 'invalid_union' && Array.isArray(found);
  const meant = isList ? alternativeMeant(issue.errors) : undefined;
  if (meant !== undefined)
    return meant.flatMap((inner) => faultsOf({ ...inner, path: [...path, ...inner.path] }, subject));
  if (issue.code === 'invalid_value') {
    if (issue.message.startsWith('Invalid'))
      return [wrongValue(path, found, [...new Set(issue.values.map(String))], subject)];
    return [file.fault(path, issue.message)];
  }
  if (issue.code === 'invalid_type') {
    return [
      file.fault(path, `${nameOfType(issue.expected)} is expected here, not ${nameOfType(typeOf(found))}`),
    ];
  }
  if (issue.code === 'too_small' && issue.message.startsWith('Too small')) {
    return [
      file.fault(
        path,
        issue.origin === 'array' ? 'this list is empty' : `at least ${issue.minimum} is expected`,
      ),
    ];
  }
  if (issue.code === 'invalid_key') return [file.fault(path, 'a name is expected here: it is empty', 'key')];
  if (issue.code === 'too_big') return [file.fault(path, `at most ${issue.maximum} is expected`)];
  const params = issue.code === 'custom' ? issue.params : undefined;
  const fault = file.fault(path, issue.message, params?.['at'] === 'key' ? 'key' : 'value');
  const nearest = params?.['nearest'] as string | undefined;
  return [nearest === undefined ? fault : { ...fault, nearest }];
}

function unknownKey(path: Path, { jsonSchema, file }: Subject, isAdvised: boolean): Fault {
  const key = String(path.at(-1));
  if (KEYS_NOT_YET.get(patternOf(path.slice(0, -1)))?.includes(key) === true) {
    return file.fault(path, 'this version does not have this yet', 'key');
  }
  if (!isAdvised) return file.fault(path, 'unknown key', 'key');
  let places = [jsonSchema];
  for (const [depth, step] of path.slice(0, -1).entries()) {
    const at = valueAt(file.value, path.slice(0, depth));
    places = places.flatMap((place) => childSchema(place, step, at) ?? []);
  }
  const holder = valueAt(file.value, path.slice(0, -1));
  const known = places
    .flatMap((place) => objectSchemas(place, holder))
    .flatMap((place) => Object.keys(place.properties ?? {}));
  const nearest = nearestName(key, known);
  const fault = file.fault(path, 'unknown key', 'key');
  return nearest === undefined ? { ...fault, allowed: known } : { ...fault, nearest };
}

function wrongValue(path: Path, found: unknown, allowed: readonly string[], { file }: Subject): Fault {
  if (found === undefined) return { ...file.fault(path, 'this is missing'), allowed };
  if (typeof found !== 'string') return { ...file.fault(path, 'a known word is expected'), allowed };
  if (VALUES_NOT_YET.get(patternOf(path))?.includes(found) === true) {
    return { ...file.fault(path, `this version does not have "${found}" yet`), allowed };
  }
  const nearest = nearestName(found, allowed);
  const fault = file.fault(path, `"${found}" is not known here`);
  return { ...fault, allowed, ...(nearest === undefined ? {} : { nearest }) };
}

/** `sinks[].destination.type`: the path with every index taken out. */
const patternOf = (path: Path): string =>
  path
    .map((step) => (typeof step === 'number' ? '[]' : `.${step}`))
    .join('')
    .replace(/^\./, '');

const typeOf = (value: unknown): string => (Array.isArray(value) ? 'array' : typeof value);

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: 'a text',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  object: 'a mapping',
  record: 'a mapping',
  array: 'a list',
};
const nameOfType = (type: string): string => TYPE_NAMES[type] ?? type;
