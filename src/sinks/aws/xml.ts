// A strict reader for the XML of AWS' answers: elements and text, and nothing else that XML knows.
// Attributes are passed over; a DOCTYPE, a CDATA section or an unknown entity is refused
// (docs/decisions/20261121-sns.md says why this is no library).

export type XmlElement = {
  readonly name: string;
  readonly children: readonly XmlElement[];
  /** Its own text, between and around its children. */
  readonly text: string;
};

/** Deeper than any answer. */
const MAX_DEPTH = 32;

// One step: a declaration or comment | an end tag | a start tag, perhaps empty | text up to the next tag.
const STEP =
  /<\?[^>]*\?>|<!--[^]*?-->|<\/([A-Za-z][\w.-]*)\s*>|<([A-Za-z][\w.-]*)(?:\s+[\w.:-]+\s*=\s*(?:"[^"<]*"|'[^'<]*'))*\s*(\/?)>|([^<]+)/y;

type Open = { name: string; children: XmlElement[]; text: string };

/** The root element. Throws where the text is not whole, or not of this kind. */
export function parseXml(source: string): XmlElement {
  const document: Open = { name: '', children: [], text: '' };
  const open: Open[] = [document];
  STEP.lastIndex = 0;
  while (STEP.lastIndex < source.length) {
    const [, end, start, empty, text] = STEP.exec(source) ?? fail();
    const parent = open.at(-1)!;
    if (text !== undefined) parent.text += decode(text);
    else if (start !== undefined) {
      const element: Open = { name: start, children: [], text: '' };
      parent.children.push(element);
      if (empty !== '/') open.push(element);
      if (open.length > MAX_DEPTH) fail();
    } else if (end !== undefined) {
      if (end !== parent.name) fail();
      open.pop();
    }
  }
  const [root] = document.children;
  if (root === undefined || document.children.length > 1 || open.length > 1) fail();
  if (document.text.trim() !== '') fail();
  return root;
}

function fail(): never {
  throw new SyntaxError('this is no XML of AWS');
}

const ENTITIES: ReadonlyMap<string, string> = new Map([
  ['amp', '&'],
  ['lt', '<'],
  ['gt', '>'],
  ['quot', '"'],
  ['apos', "'"],
]);

function decode(text: string): string {
  if (!text.includes('&')) return text;
  return text.replace(/&(?:#x([0-9A-Fa-f]{1,6})|#(\d{1,7})|(\w+));|&/g, (_, hex, decimal, name) => {
    if (typeof name === 'string') return ENTITIES.get(name) ?? fail();
    const code = typeof hex === 'string' ? Number.parseInt(hex, 16) : Number(decimal);
    return code <= 0x10ffff ? String.fromCodePoint(code) : fail();
  });
}

/** The child of this name; undefined: none. */
export const childOf = (element: XmlElement | undefined, name: string): XmlElement | undefined =>
  element?.children.find((child) => child.name === name);

/** The text of the child of this name; undefined: none. */
export const textOf = (element: XmlElement | undefined, name: string): string | undefined =>
  childOf(element, name)?.text;
