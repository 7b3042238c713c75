// Reads a YAML file into plain values that remember where they stand: anchors, merge keys and ${VAR} resolved.
import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument,
  type Document,
  type Node,
  type Pair,
  type Scalar,
  type YAMLMap,
} from 'yaml';
import { nearestName } from '../../core/nearest-name.ts';
import { ConfigError, MAX_ADVISED, type Fault } from './faults.ts';
import { MAX_FILE_BYTES, tooLarge } from './file-access.ts';
import { define, formatPath, type FileValue, type Path } from './file-value.ts';
import { placeInScalar } from './scalar-places.ts';
import { substituteVariables, type Variables } from './variables.ts';
import { MAX_DEPTH, parserFaults, TOO_DEEP } from './yaml-faults.ts';
import { linksIn, type Links } from './yaml-links.ts';

/** Invariant 8: aliases may multiply a file; this many values are more than any configuration has. */
const MAX_VALUES = 100_000;

const TOO_MANY = `aliases multiply this beyond measure, or there are more than ${MAX_VALUES} values`;

/** Of YAML's own tags those that say what is read anyway. https://yaml.org/spec/1.2.2/#chapter-10-recommended-schemas */
const PLAIN_TAGS: ReadonlySet<string> = new Set(
  ['str', 'int', 'float', 'bool', 'null', 'map', 'seq'].map((name) => `tag:yaml.org,2002:${name}`),
);

/** Code, conditions and templates have dollar signs of their own (a group id reads `${%table%}-${id}`). */
const VERBATIM_KEYS: ReadonlySet<string> = new Set(['code', 'group_id', 'where', 'route.topic.replacement']);

/** Nothing at this path, and below it, holds variables. */
const isVerbatim = (path: Path): boolean =>
  VERBATIM_KEYS.has(String(path.at(-1))) || VERBATIM_KEYS.has(path.slice(-3).join('.'));

type Entry = {
  key?: number;
  value: number;
  end?: number;
  text?: string;
  other?: string | number | boolean | undefined;
};

export type ReadOptions = {
  readonly file: string;
  /** Where relative paths in it begin. */
  readonly directory: string;
  /** Without variables, `${…}` is ordinary text. */
  readonly variables?: Variables;
  /** Top-level keys with a meaning; others may only carry anchors. */
  readonly knownTopLevel: ReadonlySet<string>;
};

/** Throws ConfigError where the text is none that the parser can be given. */
export function readYaml(text: string, options: ReadOptions): FileValue {
  const refused = refusalOf(text);
  if (refused !== undefined) {
    const line = text.slice(0, refused.at).split('\n').length;
    throw new ConfigError([{ file: options.file, line, column: 1, path: '', message: refused.message }]);
  }
  const lineCounter = new LineCounter();
  // Keys that are there twice are found here: the parser compares each key with each.
  const document = parseDocument(text, { lineCounter, merge: true, prettyErrors: false, uniqueKeys: false });
  const reader = new Reader(document, lineCounter, options);
  for (const { place, message } of parserFaults(document, text)) {
    reader.faults.push(reader.faultAt(place, [], message));
  }
  const value = document.errors.length === 0 ? reader.readRoot() : undefined;
  return {
    file: options.file,
    directory: options.directory,
    value,
    notes: reader.notes,
    faults: reader.faults.map(({ path, ...fault }) => ({ ...fault, path: formatPath(path, value) })),
    fault: (path, message, at = 'value') => {
      const fault = reader.fault(path, message, at);
      return { ...fault, path: formatPath(path, value) };
    },
    faultWithin: (path, message, offset) => {
      const fault = reader.faultWithin(text, { path, message, offset });
      return { ...fault, path: formatPath(path, value) };
    },
    nameOf: (path) => formatPath(path, value),
    text: (path) => reader.entries.get(keyOf(path))?.text,
    otherReading: (path) => reader.entries.get(keyOf(path))?.other,
  };
}

/** `- - - a`, `? ? ? a`: levels that need no indentation, of which the parser would take any number. */
const LEVELS_IN_ONE_LINE = new RegExp(`^[ \\t]*(?:[-?:][ \\t]+){${MAX_DEPTH + 1}}`, 'm');

/** `{{{` and `[{[`: mappings as keys of mappings, each of which the parser writes out as the text of a key. */
const BRACKETS_IN_A_ROW = new RegExp(`(?:[[{][ \\t\\r\\n]*){${MAX_DEPTH + 1}}`);

/** What is not given to the parser: it would take too long, or all memory. */
function refusalOf(text: string): { readonly at: number; readonly message: string } | undefined {
  if (text.length > MAX_FILE_BYTES) return { at: 0, message: tooLarge() };
  const nul = text.indexOf('\0');
  if (nul !== -1) return { at: nul, message: 'there is a NUL character here: this is no text' };
  const deep = LEVELS_IN_ONE_LINE.exec(text) ?? BRACKETS_IN_A_ROW.exec(text);
  return deep === null ? undefined : { at: deep.index, message: TOO_DEEP };
}

/** Keys of the top-level mapping, without reading the rest; none where there is no mapping. */
export function topLevelKeys(text: string): string[] {
  if (refusalOf(text) !== undefined) return [];
  const { contents } = parseDocument(text, { logLevel: 'silent', prettyErrors: false, uniqueKeys: false });
  return isMap(contents) ? contents.items.map(textOfKey) : [];
}

/** Where the reader is, and whether variables are left alone there. */
type Place = { readonly path: Path; readonly isVerbatim: boolean };

function inside(at: Place, step: string | number): Place {
  const path = [...at.path, step];
  return { path, isVerbatim: at.isVerbatim || isVerbatim(path) };
}

/** The names of list items are known only when everything is read. */
type PlacedFault = Omit<Fault, 'path'> & { readonly path: Path };

class Reader {
  readonly faults: PlacedFault[] = [];
  readonly notes: string[] = [];
  readonly entries = new Map<string, Entry>();
  readonly #document: Document.Parsed;
  readonly #lineCounter: LineCounter;
  readonly #options: ReadOptions;
  readonly #links: Links;
  /** Mappings whose keys were looked at for repeats. */
  readonly #checked = new Set<YAMLMap>();
  #values = 0;

  constructor(document: Document.Parsed, lineCounter: LineCounter, options: ReadOptions) {
    this.#document = document;
    this.#lineCounter = lineCounter;
    this.#options = options;
    this.#links = linksIn(document);
  }

  readRoot(): unknown {
    const root = this.#document.contents;
    if (root === null) return undefined;
    if (!isMap(root)) {
      this.faults.push(this.faultAt(root.range[0], [], 'a mapping of keys is expected here'));
      return undefined;
    }
    this.entries.set(keyOf([]), { value: root.range[0] });
    const kept = (key: string, pair: Pair): boolean => {
      if (this.#options.knownTopLevel.has(key)) return true;
      const isUsed = this.#links.isUsedElsewhere(pair);
      if (key.startsWith('x-') || isUsed) return false;
      // What only looks like a block of anchors may be a key with a typing error.
      if (!this.#links.hasAnchors(pair) || nearestName(key, this.#options.knownTopLevel) !== undefined)
        return true;
      this.notes.push(`${key} is passed over: nothing uses its anchors`);
      return false;
    };
    return this.#readMap(root, { path: [], isVerbatim: false }, kept);
  }

  #read(node: unknown, at: Place): unknown {
    const { path } = at;
    const resolved = this.#resolve(node);
    if (resolved === undefined && isAlias(node)) {
      this.faults.push(this.faultAt(startOf(node), path, `no anchor before this is called "${node.source}"`));
    }
    if (resolved === undefined || resolved === null) return undefined;
    if (!this.#counts(resolved, path)) return undefined;
    const { tag } = resolved as Node;
    if (tag !== undefined && !PLAIN_TAGS.has(tag)) {
      const message = `the tag ${tag.replace('tag:yaml.org,2002:', '!!')} has no meaning here: write the value itself`;
      this.faults.push(this.faultAt(startOf(resolved), path, message));
      return undefined;
    }
    Object.assign(this.#entry(path), { value: startOf(resolved), end: (resolved as Node).range?.[1] });
    if (isMap(resolved)) return this.#readMap(resolved, at);
    if (isSeq(resolved)) return resolved.items.map((item, index) => this.#read(item, inside(at, index)));
    return isScalar(resolved) ? this.#readScalar(resolved, at) : undefined;
  }

  #resolve(node: unknown): unknown {
    return isAlias(node) ? this.#links.targets.get(node) : node;
  }

  /** One value more, or one mapping more that is merged; false: they are too many, which is said once. */
  #counts(node: unknown, path: Path): boolean {
    const isTooDeep = path.length > MAX_DEPTH;
    if (!isTooDeep && ++this.#values <= MAX_VALUES) return true;
    if (this.#values <= MAX_VALUES + 1) {
      this.faults.push(this.faultAt(startOf(node), path, isTooDeep ? TOO_DEEP : TOO_MANY));
    }
    this.#values = MAX_VALUES + 1;
    return false;
  }

  #readMap(map: YAMLMap, at: Place, kept: (key: string, pair: Pair) => boolean = () => true): unknown {
    const result: Record<string, unknown> = {};
    for (const [key, pair] of this.#pairsOf(map, at.path, 0)) {
      if (!kept(key, pair)) continue;
      const place = inside(at, key);
      this.#entry(place.path).key = startOf(pair.key);
      define(result, key, this.#read(pair.value, place));
    }
    return result;
  }

  /** https://yaml.org/type/merge.html: what stands in the mapping itself wins, then the earlier of several merged ones. */
  #pairsOf(map: YAMLMap, path: Path, depth: number): ReadonlyMap<string, Pair> {
    const pairs = new Map<string, Pair>();
    const merged: unknown[] = [];
    for (const pair of map.items) {
      const key = textOfKey(pair);
      if (key === '<<') merged.push(pair.value);
      else if (!pairs.has(key)) pairs.set(key, pair);
      else if (!this.#checked.has(map) && this.faults.length < MAX_ADVISED) {
        this.faults.push(this.faultAt(startOf(pair.key), [...path, key], 'this key is here twice'));
      }
    }
    this.#checked.add(map);
    if (depth > MAX_DEPTH) {
      this.faults.push(this.faultAt(startOf(map), path, 'this mapping is merged into itself'));
      return pairs;
    }
    for (const source of merged.flatMap((value) => this.#mergeSources(value, path, depth))) {
      if (!this.#counts(source, path)) break;
      for (const [key, pair] of this.#pairsOf(source, path, depth + 1)) {
        if (!pairs.has(key)) pairs.set(key, pair);
      }
    }
    return pairs;
  }

  #mergeSources(value: unknown, path: Path, depth: number): YAMLMap[] {
    const resolved = this.#resolve(value);
    if (isMap(resolved)) return [resolved];
    if (isSeq(resolved) && depth <= MAX_DEPTH) {
      return resolved.items.flatMap((item) =>
        this.#counts(item, path) ? this.#mergeSources(item, path, depth + 1) : [],
      );
    }
    const message = '"<<" merges a mapping: give it an alias of one, or a list of aliases';
    this.faults.push(this.faultAt(startOf(value), path, message));
    return [];
  }

  #readScalar(node: Scalar, { path, isVerbatim: verbatim }: Place): unknown {
    const isPlain = node.type === 'PLAIN';
    const written = isPlain ? (node.source ?? '') : String(node.value);
    const entry = this.#entry(path);
    const { variables } = this.#options;
    if (variables !== undefined && !verbatim) {
      const mayBeColumn = path[0] === 'sinks' && (path[2] === 'destination' || path[4] === 'add');
      const { text, problems, changed } = substituteVariables(written, variables, { mayBeColumn });
      for (const problem of problems) this.faults.push(this.faultAt(entry.value, path, problem));
      if (changed) {
        entry.text = text;
        entry.other = plainValue(text);
        return text;
      }
    }
    entry.text = written;
    if (isPlain && typeof node.value !== 'string') {
      entry.other = written;
      return node.value ?? undefined;
    }
    entry.other = plainValue(written);
    return written;
  }

  #entry(path: Path): Entry {
    const key = keyOf(path);
    let entry = this.entries.get(key);
    if (entry === undefined) this.entries.set(key, (entry = { value: 0 }));
    return entry;
  }

  fault(path: Path, message: string, at: 'key' | 'value'): PlacedFault {
    let known = path;
    while (known.length > 0 && !this.entries.has(keyOf(known))) known = known.slice(0, -1);
    const entry = this.entries.get(keyOf(known));
    // What is missing in a mapping is best shown at the key that the mapping belongs to.
    const useKey = at === 'key' || known.length < path.length;
    const offset = (useKey ? entry?.key : undefined) ?? entry?.value ?? 0;
    return this.faultAt(offset, path, message);
  }

  /** `source`: the whole file. */
  faultWithin(
    source: string,
    { path, message, offset }: { readonly path: Path; readonly message: string; readonly offset: number },
  ): PlacedFault {
    const entry = this.entries.get(keyOf(path));
    if (entry?.text === undefined) return this.fault(path, message, 'value');
    const written = source.slice(entry.value, entry.end);
    return this.faultAt(entry.value + placeInScalar(written, entry.text, offset), path, message);
  }

  faultAt(offset: number, path: Path, message: string): PlacedFault {
    const { line, col } = this.#lineCounter.linePos(offset);
    return { file: this.#options.file, line: Math.max(line, 1), column: Math.max(col, 1), path, message };
  }
}

/** YAML's number or boolean that this text spells, if any. */
function plainValue(text: string): number | boolean | undefined {
  if (/^(true|false)$/i.test(text)) return text.toLowerCase() === 'true';
  return /^-?\d+(\.\d+)?$/.test(text) ? Number(text) : undefined;
}

const startOf = (node: unknown): number => (node as Node | null | undefined)?.range?.[0] ?? 0;
const keyOf = (path: Path): string => JSON.stringify(path);
const textOfKey = (pair: Pair): string =>
  isScalar(pair.key) ? (pair.key.source ?? String(pair.key.value)) : String(pair.key);
