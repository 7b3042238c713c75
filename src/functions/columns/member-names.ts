// The names of a flattened column's members, kept from value to value: the next one has the same members in the same order, most likely.
// Pure; hot where a column is flattened (bench/micro/render.ts).
import type { Literal } from '../../core/byte-writer.ts';
import { literal, type MessageEncoding } from '../../core/encoding.ts';
import { afterString, JSON_BYTES } from '../../core/json-steps.ts';
import { jsonText } from '../../core/json.ts';

/** Characters; longer names are not made. */
export const MAX_NAME_LENGTH = 1024;
/** With so many the next value begins anew. */
const MAX_KNOWN = 4096;

const { quote: QUOTE, backslash: BACKSLASH } = JSON_BYTES;
const LAST_ASCII = 0x7f;

/** What a member is called in the message. Members of several objects may be called the same: `a_b`, and `b` in `a`. */
type Label = {
  /** `"address_city":` and `,"address_city":`; undefined: the name is taken. */
  readonly written: { readonly first: Literal; readonly next: Literal } | undefined;
  /** The value that had it last. */
  seenIn: number;
};

/** A key of an object. */
export type KnownKey = {
  /** What stands between its quotes. */
  readonly written: Buffer;
  readonly name: string;
  readonly label: Label;
  /** Its place among the keys of its object. */
  readonly place: number;
  /** Where its value is an object. */
  members: KnownKeys | undefined;
};

/** The keys that an object was seen to have. */
export class KnownKeys {
  readonly prefix: string;
  readonly list: KnownKey[] = [];
  readonly byWritten = new Map<string, KnownKey>();
  /** The place of the key that is expected next. */
  next = 0;

  constructor(prefix: string) {
    this.prefix = prefix;
  }
}

type Named = {
  /** Of the column. */
  readonly name: string;
  readonly separator: string;
  /** Names that no member can have. */
  readonly taken: ReadonlySet<string>;
  readonly encoding: MessageEncoding;
};

export class MemberNames {
  readonly #prefix: string;
  readonly #separator: string;
  readonly #taken: ReadonlySet<string>;
  readonly #encoding: MessageEncoding;
  readonly #labels = new Map<string, Label>();
  #keys: KnownKeys;
  #count = 0;

  constructor({ name, separator, taken, encoding }: Named) {
    this.#prefix = name + separator;
    this.#separator = separator;
    this.#taken = taken;
    this.#encoding = encoding;
    this.#keys = new KnownKeys(this.#prefix);
  }

  /** The keys of a value itself. */
  beginValue(): KnownKeys {
    if (this.#count > MAX_KNOWN) {
      this.#keys = new KnownKeys(this.#prefix);
      this.#labels.clear();
      this.#count = 0;
    }
    return this.#keys;
  }

  membersOf(key: KnownKey): KnownKeys {
    return (key.members ??= new KnownKeys(key.name + this.#separator));
  }

  /** The key whose opening quote is `bytes[at]`; undefined: its name would be too long. */
  keyAt(keys: KnownKeys, bytes: Buffer, at: number): KnownKey | undefined {
    const expected = keys.list[keys.next];
    if (expected !== undefined && standsAt(bytes, at + 1, expected.written)) {
      keys.next++;
      return expected;
    }
    const end = afterString(bytes, at) - 1;
    const text = bytes.toString('latin1', at + 1, end);
    const key = keys.byWritten.get(text) ?? this.#learn(keys, text);
    if (key !== undefined) keys.next = key.place + 1;
    return key;
  }

  /** `text`: the bytes between the quotes, one a character. */
  #learn(keys: KnownKeys, text: string): KnownKey | undefined {
    const written = Buffer.from(text, 'latin1');
    const name = keys.prefix + textOf(written);
    if (name.length > MAX_NAME_LENGTH) return undefined;
    this.#count++;
    let label = this.#labels.get(name);
    if (label === undefined) {
      label = { written: this.#taken.has(name) ? undefined : this.#writtenAs(name), seenIn: 0 };
      this.#labels.set(name, label);
    }
    const key = { written, name, label, place: keys.list.length, members: undefined };
    keys.list.push(key);
    keys.byWritten.set(text, key);
    return key;
  }

  #writtenAs(name: string): NonNullable<Label['written']> {
    const json = `${jsonText(name)}:`;
    return { first: literal(json, this.#encoding), next: literal(`,${json}`, this.#encoding) };
  }
}

/** A key that was read to its quote before is the same where that follows. */
function standsAt(bytes: Buffer, start: number, written: Buffer): boolean {
  if (bytes[start + written.length] !== QUOTE) return false;
  for (let i = 0; i < written.length; i++) if (bytes[start + i] !== written[i]) return false;
  return true;
}

/** Of what stands between quotes. */
function textOf(written: Buffer): string {
  const isPlain = written.every((byte) => byte !== BACKSLASH && byte <= LAST_ASCII);
  return isPlain ? written.toString('latin1') : (JSON.parse(`"${written.toString()}"`) as string);
}
