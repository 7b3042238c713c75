// What may go into a header: printable ASCII. Anything else means something else to whoever reads it, a line break the end of
// the header (U+010A, sent as one byte, is one too). Nothing is trimmed in silence: a fault says what is there. It never
// repeats the text, which may be a secret.

/** What is wrong with a text that has no blanks either, such as a key; undefined: nothing. */
export function faultOfToken(text: string): string | undefined {
  if (text === '') return 'it is empty';
  if (/^[\x21-\x7e]+$/.test(text)) return undefined;
  return faultOfText(text) ?? 'it has blanks inside';
}

/** The same where blanks may be inside. */
export function faultOfText(text: string): string | undefined {
  if (/[\r\n]$/.test(text)) return 'it ends with a line break, as the content of a file does';
  if (/^\s|\s$/.test(text)) return 'it has blanks around it';
  if (/[\r\n]/.test(text)) return 'it has a line break inside';
  const odd = /[^\t\x20-\x7e]/u.exec(text)?.[0].codePointAt(0);
  if (odd === undefined) return undefined;
  return `it has a character that is no printable ASCII (U+${odd.toString(16).toUpperCase().padStart(4, '0')})`;
}
