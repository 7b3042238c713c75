// What is wrong with a filter, where in its text, and what would be right.

export type WhereFault = {
  readonly message: string;
  /** UTF-16 units from the start of the filter's text. */
  readonly at: number;
};

/** Thrown while a filter is read or its types are resolved; the parts of one text are judged in order, so there is one. */
export class WhereRefusal extends Error {
  readonly fault: WhereFault;

  constructor(message: string, at: number) {
    super(message);
    this.name = 'WhereRefusal';
    this.fault = { message, at };
  }
}

/** The line and column, from 1, of a place in a text. */
export function lineAndColumn(text: string, at: number): { readonly line: number; readonly column: number } {
  const before = text.slice(0, at);
  const line = before.split('\n').length;
  return { line, column: at - before.lastIndexOf('\n') };
}
