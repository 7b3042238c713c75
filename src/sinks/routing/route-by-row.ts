// Routes that templates over the row decide, the same for every sink: an id for each row, what may be a route, and what is wrong with a row
// that has none. The sink says what its fields are, and opens the route of their texts.
import { parseRowTemplate, writtenAs, type Template } from '../../core/template.ts';
import type { Route, RouteByRow, RouteFault, RouteInput, RoutedFields } from '../sink.ts';
import { Allowed, type AllowedNames } from './allowed.ts';
import { ANYTHING, type Bounds } from './bounds.ts';
import { boundsOf } from './fields.ts';
import type { KnownRoutes } from './known-routes.ts';
import { RowTemplate } from './row-template.ts';

/** A field of a route as the configuration has it. */
export type WrittenField = {
  /** The destination's key, in `routing` of the sink's definition. */
  readonly key: string;
  readonly template: Template | string;
  /** Of the key's texts which: the name of a header. Default: `key`. */
  readonly name?: string;
};

export type RoutedTexts = Readonly<Record<string, string>>;

export type ByTemplates<Target> = {
  readonly input: RouteInput;
  readonly routing: RoutedFields;
  /** The text of this one is what the route is called, behind `prefix`. */
  readonly shown: WrittenField;
  readonly prefix?: string;
  /** Those that may hold secrets of the configuration: of them only the row's and the change's values are in the route's name. */
  readonly hidden?: readonly WrittenField[];
  /** What the shown one may be; undefined: what its template gives. */
  readonly allowed?: AllowedNames | undefined;
  readonly groupTemplate: string | undefined;
  /** Of all tables and actions of the sink: what was looked at once is not looked at again. */
  readonly known: KnownRoutes<Route<Target>>;
  /** `texts`: of each field by its name. */
  readonly open: (texts: RoutedTexts, id: string) => Route<Target>;
};

/** Behind what is shown. No text that is shown has it. */
const HIDDEN = '#';

/** What a letter lacks for its route, as it is written in its id. */
const LACKED = /\$\{(?:row|old)\.[^}]*\}/g;
/** It fits wherever a value may stand. */
const ANY_VALUE = 'x';

/** What was wrong with the value of a letter, by its code. */
const LACKS: ReadonlyMap<string, string> = new Map([
  ['ROUTE_VALUE_NULL', 'was NULL'],
  ['ROUTE_VALUE_ABSENT', 'was not sent'],
  ['ROUTE_VALUE_UNFIT', 'did not fit'],
  ['ROUTE_NOT_ALLOWED', 'was not in allowed'],
]);

export function routeByTemplates<Target>(options: ByTemplates<Target>): RouteByRow<Target> {
  const { input, routing, open, groupTemplate, known, prefix = '' } = options;
  /** An id may be another route to another table. */
  const part = known.nextPart();
  const allowed = options.allowed === undefined ? undefined : new Allowed(options.allowed);
  const compile = ({ key, template, name = key }: WrittenField, bounds: Bounds): RowTemplate =>
    new RowTemplate({ key, name }, typeof template === 'string' ? parseRowTemplate(template) : template, {
      bounds,
      input,
    });
  const shownBounds = allowed === undefined ? boundsOf(routing, options.shown.key) : ANYTHING;
  const shown = compile(options.shown, shownBounds);
  const hidden = (options.hidden ?? []).map((field) => compile(field, boundsOf(routing, field.key)));

  const idOf: RouteByRow['idOf'] = (row) => {
    let id = prefix + shown.text(row);
    let { lack } = shown;
    for (const template of hidden) {
      if (template.isConstant) continue;
      id += `${id.includes(HIDDEN) ? '&' : HIDDEN}${encodeURIComponent(template.name)}=${template.values(row)}`;
      lack ??= template.lack;
    }
    return lack === undefined ? id : { id, ...lack };
  };

  const textsOf = (id: string): Record<string, string> | undefined => {
    const mark = id.indexOf(HIDDEN);
    if (!id.startsWith(prefix)) return undefined;
    const texts: Record<string, string> = {
      [shown.name]: id.slice(prefix.length, mark === -1 ? undefined : mark),
    };
    const values = new Map(
      (mark === -1 ? '' : id.slice(mark + 1))
        .split('&')
        .map((pair) => pair.split('=', 2) as [string, string]),
    );
    for (const template of hidden) {
      const own = values.get(encodeURIComponent(template.name));
      const text = template.isConstant ? template.text(undefined) : template.textOf(own ?? '');
      if (text === undefined) return undefined;
      texts[template.name] = text;
    }
    return texts;
  };

  const unknown = (id: string): RouteFault => ({
    id,
    code: 'ROUTE_UNKNOWN',
    hint: `${shown.key}: its template does not give this route any more`,
  });

  /** Of a letter's id what it lacks still; `was`: what the letter says is wrong. */
  const lackingOf = (id: string, was: string): RouteFault | undefined => {
    const left = id.match(LACKED) ?? [];
    const [text] = left;
    if (text === undefined) return undefined;
    const fieldOf = (written: string): RowTemplate | undefined =>
      [shown, ...hidden].find(({ columns }) => columns.some((part) => writtenAs(part) === written));
    // As if it had them.
    const called = textsOf(id.replaceAll(LACKED, ANY_VALUE))?.[shown.name];
    const isOurs = called !== undefined && shown.gives(called) && left.every((each) => fieldOf(each));
    if (!isOurs) return unknown(id);
    const lack = LACKS.get(was);
    const code = lack === undefined ? 'ROUTE_VALUE_ABSENT' : was;
    const cure = `give it one, ${text.replace('}', ':-other}')}, and replay the letter again`;
    const what = `${text.slice(2, -1)} ${lack ?? 'is not known any more'} and has no default`;
    return { id, code, hint: `${fieldOf(text)!.key}: ${what}: ${cure}` };
  };

  const faultOf = (id: string, texts: Record<string, string> | undefined): RouteFault | undefined => {
    const called = texts?.[shown.name];
    if (texts === undefined || called === undefined || !shown.gives(called)) return unknown(id);
    if (allowed?.allows(called) === false)
      // Of the row's own text nothing is shown.
      return { id: shown.text(undefined), code: 'ROUTE_NOT_ALLOWED', hint: `${shown.key}: ${allowed.hint}` };
    for (const { key, name } of [shown, ...hidden]) {
      const { error } = routing.shape[key]!.safeParse(texts[name]);
      if (error !== undefined)
        return { id, code: 'ROUTE_VALUE_UNFIT', hint: `${key}: ${error.issues[0]!.message}` };
    }
    return undefined;
  };

  return {
    groupTemplate,
    columns: [shown, ...hidden].flatMap(({ columns }) => columns.map(({ name }) => name)),
    idOf,
    idAgain: (written, code) => {
      const id = hidden.reduce(
        (text, template) => template.completed(text, encodeURIComponent),
        shown.completed(written),
      );
      return lackingOf(id, code) ?? id;
    },
    open: (id) => {
      const route = known.get(part + id);
      if (route !== undefined) return route;
      const texts = textsOf(id);
      return faultOf(id, texts) ?? known.keep(part + id, open(texts!, id));
    },
  };
}
