// An error of SQL while a filter is evaluated: its SQLSTATE and what it means, without any value of the row.
// https://www.postgresql.org/docs/current/errcodes-appendix.html

const MEANINGS = {
  '22003': 'a number is out of range',
  '22008': 'a date or time is out of range',
  '22012': 'division by zero',
  '22011': 'a length is negative',
  '2200D': 'the escape is not one character',
  '22019': 'the escape is not one character',
  '22015': 'a part of an interval is out of range',
  '22023': 'an argument has a value that the function does not take',
  '22025': 'a pattern ends with its escape character',
  '22P02': 'a text is not of the type that it is cast to',
  '22P05': 'a text has a character that the server does not know',
  '22001': 'a text is too long for its type',
  '54000': 'a limit of the server is exceeded',
  '0A000': 'this is not supported for the value',
} as const;

export type SqlState = keyof typeof MEANINGS;

export class EvaluationError extends Error {
  readonly sqlState: SqlState;

  constructor(sqlState: SqlState) {
    super(`${MEANINGS[sqlState]} (SQLSTATE ${sqlState})`);
    this.name = 'EvaluationError';
    this.sqlState = sqlState;
  }
}

export const outOfRange = (): EvaluationError => new EvaluationError('22003');
export const divisionByZero = (): EvaluationError => new EvaluationError('22012');
/** A value on one version of the server, and an error on another. */
export const ofNewerServer = (): EvaluationError => new EvaluationError('0A000');
export const malformedText = (): EvaluationError => new EvaluationError('22P02');
