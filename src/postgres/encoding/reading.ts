// How bytes of a database become UTF-8 where its server does not convert them by itself: read as UTF-8 (SQL_ASCII), or asked of
// the server, text by text. Its tables decide, never ours: other decoders' differ.
import { isUtf8 } from 'node:buffer';
import type { Client } from 'pg';
import type { ReadText } from '../../pgoutput/texts.ts';
import { codeOf } from '../connection/fault.ts';

export interface TextReading {
  /** Must have resolved before any of these texts, which are not all ASCII, is read. */
  learn(texts: readonly Buffer[]): Promise<void>;
  /** `bytes[start, end)` in UTF-8. Reads only what was learnt last. */
  read(bytes: Buffer, start: number, end: number): ReadText;
}

const REPLACEMENT = '\ufffd';
const HIGH = 0x80;

const UTF8 = new TextDecoder('utf-8', { ignoreBOM: true });

/** SQL_ASCII says nothing of its bytes: they are read as UTF-8, U+FFFD for what is none. */
export const readAsUtf8: TextReading = {
  learn: () => Promise.resolve(),
  read: (bytes, start, end) => {
    const text = bytes.subarray(start, end);
    if (isUtf8(text)) return { utf8: text, isDamaged: false };
    return { utf8: Buffer.from(UTF8.decode(text)), isDamaged: true };
  },
};

/** What one question may carry; and how many questions one damaged text is worth: what is left then is replaced unasked. */
const MAX_ASKED_BYTES = 1024 * 1024;
const MAX_QUESTIONS_A_TEXT = 200;
/** Unreadable characters that are remembered. */
const MAX_UNREADABLE = 10_000;

/** https://www.postgresql.org/docs/current/errcodes-appendix.html: not in the encoding; no equivalent in UTF-8. */
export const UNREADABLE: readonly string[] = ['22021', '22P05'];

/** Asks the server to convert; undefined: it cannot read one of these. */
type Ask = (texts: readonly Buffer[]) => Promise<readonly string[] | undefined>;

const askOver =
  (client: Client, encoding: string): Ask =>
  async (texts) => {
    try {
      const { rows } = await client.query<{ text: string }>(
        `select convert_from(bytes, $2::name) as text from unnest($1::bytea[]) with ordinality t(bytes, n) order by n`,
        [texts, encoding],
      );
      return rows.map(({ text }) => text);
    } catch (error) {
      if (UNREADABLE.includes(codeOf(error))) return undefined;
      throw error;
    }
  };

/** Of a database in `encoding`, which is neither UTF8 nor SQL_ASCII. */
export async function askServer(client: Client, encoding: string): Promise<TextReading> {
  const { rows } = await client.query<{ bytes: number }>(
    'select pg_encoding_max_length(pg_char_to_encoding($1::name)) as bytes',
    [encoding],
  );
  const ask = askOver(client, encoding);
  return rows[0]?.bytes === 1 ? new ByteTable(ask) : new AskedTexts(ask, charactersOf(encoding));
}

/** One byte a character: the upper half of the table is asked once, and holds for ever. */
class ByteTable implements TextReading {
  readonly #ask: Ask;
  #characters: readonly ReadText[] | undefined;

  constructor(ask: Ask) {
    this.#ask = ask;
  }

  async learn(texts: readonly Buffer[]): Promise<void> {
    if (this.#characters !== undefined || texts.length === 0) return;
    const high = Array.from({ length: 256 - HIGH }, (_, i) => Buffer.from([HIGH + i]));
    const known = await convertEach(high, this.#ask);
    this.#characters = known.map((text) => ({
      utf8: Buffer.from(text ?? REPLACEMENT),
      isDamaged: text === undefined,
    }));
  }

  read(bytes: Buffer, start: number, end: number): ReadText {
    const parts: Buffer[] = [];
    let isDamaged = false;
    let from = start;
    for (let i = start; i < end; i++) {
      if (bytes[i]! < HIGH) continue;
      const character = this.#characters![bytes[i]! - HIGH]!;
      isDamaged ||= character.isDamaged;
      parts.push(bytes.subarray(from, i), character.utf8);
      from = i + 1;
    }
    parts.push(bytes.subarray(from, end));
    return { utf8: Buffer.concat(parts), isDamaged };
  }
}

/** Several bytes a character: the texts of a batch are asked together, and one that cannot be read piece by piece. */
class AskedTexts implements TextReading {
  readonly #ask: Ask;
  readonly #characters: (text: Buffer) => Buffer[];
  /** By their bytes. Of the last batch only. */
  #known = new Map<string, ReadText>();
  /** Characters that the server cannot read, by their bytes: damage comes again and again, and is asked for once. */
  readonly #unreadable = new Set<string>();

  constructor(ask: Ask, characters: (text: Buffer) => Buffer[]) {
    this.#ask = ask;
    this.#characters = characters;
  }

  async learn(texts: readonly Buffer[]): Promise<void> {
    this.#known = new Map();
    const hopeful: Buffer[] = [];
    for (const [key, text] of new Map(texts.map((text) => [text.toString('latin1'), text]))) {
      const isHopeless = this.#unreadable.size > 0 && this.#characters(text).some((one) => this.#isLost(one));
      if (isHopeless) this.#known.set(key, await this.#mend(text));
      else hopeful.push(text);
    }
    for (const some of inQuestions(hopeful)) {
      const answers = await convertEach(some, this.#ask);
      for (const [i, text] of some.entries()) {
        const answer = answers[i];
        this.#known.set(
          text.toString('latin1'),
          answer === undefined ? await this.#mend(text) : { utf8: Buffer.from(answer), isDamaged: false },
        );
      }
    }
  }

  read(bytes: Buffer, start: number, end: number): ReadText {
    return this.#known.get(bytes.toString('latin1', start, end))!;
  }

  #isLost(character: Buffer): boolean {
    return character[0]! >= HIGH && this.#unreadable.has(character.toString('latin1'));
  }

  /** U+FFFD for each character that the server cannot read, the rest as it reads it. */
  async #mend(text: Buffer): Promise<ReadText> {
    const runs: Buffer[][] = [[]];
    for (const character of this.#characters(text)) {
      if (this.#isLost(character)) runs.push([]);
      else runs.at(-1)!.push(character);
    }
    const parts = await this.#convert(runs, { questions: MAX_QUESTIONS_A_TEXT });
    return { utf8: Buffer.from(parts.join(REPLACEMENT)), isDamaged: true };
  }

  /** Each run of characters in UTF-8, halved until what cannot be read stands alone. */
  async #convert(
    runs: readonly (readonly Buffer[])[],
    left: { questions: number },
  ): Promise<readonly string[]> {
    if (left.questions-- <= 0) return runs.map(withoutAsking);
    const answers = await this.#ask(runs.map((run) => Buffer.concat(run)));
    if (answers !== undefined) return answers;
    if (runs.length > 1) {
      const half = runs.length >> 1;
      const first = await this.#convert(runs.slice(0, half), left);
      return [...first, ...(await this.#convert(runs.slice(half), left))];
    }
    const run = runs[0]!;
    if (run.length === 1) {
      if (this.#unreadable.size < MAX_UNREADABLE) this.#unreadable.add(run[0]!.toString('latin1'));
      return [REPLACEMENT];
    }
    const half = run.length >> 1;
    const first = await this.#convert([run.slice(0, half)], left);
    return [first[0]! + (await this.#convert([run.slice(half)], left))[0]!];
  }
}

const withoutAsking = (run: readonly Buffer[]): string =>
  run.map((character) => (character[0]! < HIGH ? character.toString('latin1') : REPLACEMENT)).join('');

function* inQuestions(texts: readonly Buffer[]): Generator<readonly Buffer[]> {
  let some: Buffer[] = [];
  let bytes = 0;
  for (const text of texts) {
    if (bytes > 0 && bytes + text.length > MAX_ASKED_BYTES) {
      yield some;
      some = [];
      bytes = 0;
    }
    some.push(text);
    bytes += text.length;
  }
  if (some.length > 0) yield some;
}

/** Each of them in UTF-8; undefined: it cannot be read. One that cannot spoils the whole question: halves are asked then. */
async function convertEach(texts: readonly Buffer[], ask: Ask): Promise<readonly (string | undefined)[]> {
  const all = await ask(texts);
  if (all !== undefined) return all;
  if (texts.length === 1) return [undefined];
  const half = texts.length >> 1;
  return [...(await convertEach(texts.slice(0, half), ask)), ...(await convertEach(texts.slice(half), ask))];
}

const SINGLE_SHIFT_2 = 0x8e;
const SINGLE_SHIFT_3 = 0x8f;

/** Bytes of a character that begins with one of the single shifts; every other beyond ASCII has two. */
const SHIFTED_BYTES: Readonly<Record<string, readonly [two: number, three: number]>> = {
  EUC_CN: [3, 3],
  EUC_TW: [4, 3],
};
const USUAL_SHIFTED_BYTES = [2, 3] as const;

/**
 * Cuts a text into characters as the server does (every server encoding of several bytes but UTF8 is an EUC); ASCII ends
 * one that is cut short. https://github.com/postgres/postgres/blob/REL_18_STABLE/src/common/wchar.c
 */
export function charactersOf(encoding: string): (text: Buffer) => Buffer[] {
  const [two, three] = SHIFTED_BYTES[encoding] ?? USUAL_SHIFTED_BYTES;
  const lengthOf = (lead: number): number =>
    lead < HIGH ? 1 : lead === SINGLE_SHIFT_2 ? two : lead === SINGLE_SHIFT_3 ? three : 2;
  return (text) => {
    const characters: Buffer[] = [];
    for (let at = 0; at < text.length;) {
      const most = Math.min(text.length, at + lengthOf(text[at]!));
      let end = at + 1;
      while (end < most && text[end]! >= HIGH) end++;
      characters.push(text.subarray(at, end));
      at = end;
    }
    return characters;
  };
}
