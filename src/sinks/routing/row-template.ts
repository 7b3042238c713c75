// A template of one field of a route, compiled for a table and action: its text for a row. Hot: asked for every row that decides where it goes.
import { TailraceError } from '../../core/errors.ts';
import { writtenAs, type ColumnPart, type Template } from '../../core/template.ts';
import type { RouteFault, RouteInput, RowValues } from '../sink.ts';
import { escapePattern, type Bounds } from './bounds.ts';

/** What keeps a row from having a text, without the id of its route. */
export type Lack = Pick<RouteFault, 'code' | 'hint'>;

export class RowTemplate {
  /** The destination's key: `queue_name`. */
  readonly key: string;
  /** Of that key's texts which: a header's name. */
  readonly name: string;
  readonly bounds: Bounds;
  readonly columns: readonly ColumnPart[];
  /** What the change says of itself: the same for all rows of its table and action, and another for another's. */
  readonly #meta: readonly string[];
  /** Texts, and the columns between them. */
  readonly #parts: readonly (string | ColumnPart)[];
  readonly #matcher: RegExp;
  #lack: Lack | undefined;

  constructor(
    { key, name }: { readonly key: string; readonly name: string },
    template: Template,
    { bounds, input }: { readonly bounds: Bounds; readonly input: RouteInput },
  ) {
    this.key = key;
    this.name = name;
    this.bounds = bounds;
    const meta: string[] = [];
    this.#parts = template.map((part) => {
      switch (part.kind) {
        case 'text':
          return part.text;
        case 'value':
          return part;
        case 'table':
        case 'schema':
        case 'action': {
          const text = written(input[part.kind], { key, kind: part.kind, bounds });
          meta.push(text);
          return text;
        }
        case 'column':
        case 'xid':
          throw new Error(`a route has no ${part.kind}`);
        default:
          return part satisfies never;
      }
    });
    this.#meta = meta;
    this.columns = this.#parts.filter((part) => typeof part !== 'string');
    const pattern = this.#parts.map((part) =>
      typeof part === 'string' ? escapePattern(part) : bounds.pattern,
    );
    this.#matcher = new RegExp(`^${pattern.join('')}$`);
  }

  /** The same text for every row of every table. */
  get isConstant(): boolean {
    return this.#meta.length + this.columns.length === 0;
  }

  /** What the last text lacked; undefined: nothing. */
  get lack(): Lack | undefined {
    return this.#lack;
  }

  /** The text for a row; what is missing stands in it as it is written, and `lack` says why. */
  text(row: RowValues | undefined): string {
    this.#lack = undefined;
    let text = '';
    for (const part of this.#parts) text += typeof part === 'string' ? part : this.#written(part, row);
    return text;
  }

  /** The values alone, each encoded: those of the change, then those of the row, in the order in which they stand there. */
  values(row: RowValues | undefined): string {
    this.#lack = undefined;
    const ofRow = this.columns.map((part) => this.#written(part, row, encodeURIComponent));
    return [...this.#meta.map(encodeURIComponent), ...ofRow].join(',');
  }

  /** The text of such values; undefined: they are another table's, not as many, or they do not fit. */
  textOf(values: string): string | undefined {
    const encoded = values.split(',');
    if (encoded.length !== this.#meta.length + this.columns.length) return undefined;
    const all = encoded.map(decodedOf);
    if (this.#meta.some((text, i) => all[i] !== text)) return undefined;
    const decoded = all.slice(this.#meta.length);
    if (decoded.some((value) => value === undefined || this.bounds.faultOf(value) !== undefined))
      return undefined;
    let next = 0;
    return this.#parts
      .map((part) => (typeof part === 'string' ? part : this.bounds.write(decoded[next++]!)))
      .join('');
  }

  /** Could this be a text of it? */
  gives(text: string): boolean {
    return this.#matcher.test(text);
  }

  /** An id in which what was missing has its default now. */
  completed(id: string, write = this.bounds.write): string {
    return this.columns.reduce(
      (text, part) =>
        part.fallback === undefined ? text : text.replaceAll(writtenAs(part), () => write(part.fallback!)),
      id,
    );
  }

  #written(part: ColumnPart, row: RowValues | undefined, write = this.bounds.write): string {
    const { image, name, fallback } = part;
    const found = image === 'row' ? row?.text(name) : row?.old(name);
    const value = found ?? fallback;
    if (value === undefined) return this.#lacking(part, lackOf(part, found, row));
    const fault = this.bounds.faultOf(value);
    if (fault !== undefined)
      return this.#lacking(part, {
        code: 'ROUTE_VALUE_UNFIT',
        hint: `what ${image}.${name} holds does not fit: ${fault}`,
      });
    return write(value);
  }

  #lacking(part: ColumnPart, { code, hint }: Lack): string {
    this.#lack ??= { code, hint: `${this.key}: ${hint}` };
    return writtenAs(part);
  }
}

/** What a change says of itself is the same for all rows of its table: what does not fit is a fault of the configuration. */
function written(
  value: string,
  { key, kind, bounds }: { key: string; kind: string; bounds: Bounds },
): string {
  const fault = bounds.faultOf(value);
  if (fault === undefined) return bounds.write(value);
  throw new TailraceError(`${key}: "${value}" does not fit as meta.${kind}: ${fault}`, {
    code: 'ROUTE_UNFIT',
    kind: 'fatal',
    hint: `write a name for this table in the place of \${meta.${kind}}`,
  });
}

function lackOf(part: ColumnPart, found: string | null | undefined, row: RowValues | undefined): Lack {
  const { image, name } = part;
  const cure = `give it a default: \${${image}.${name}:-other}`;
  if (found === null) return { code: 'ROUTE_VALUE_NULL', hint: `${image}.${name} is NULL; ${cure}` };
  const what = row === undefined ? 'is not known of this change' : 'was not sent by Postgres';
  return { code: 'ROUTE_VALUE_ABSENT', hint: `${image}.${name} ${what}; ${cure}` };
}

/** Undefined: nothing that was encoded here. */
function decodedOf(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
