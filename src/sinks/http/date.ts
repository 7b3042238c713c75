// The dates of HTTP. `Date.parse` by itself makes a date of almost anything (`-5` is a day in May, `99999 GMT` a year).

/** https://www.rfc-editor.org/rfc/rfc9110#name-date-time-formats: one that is written, and an older one that is still read. */
const GMT_FORMS =
  /^(?:[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4}|[A-Z][a-z]{5,8}, \d{2}-[A-Z][a-z]{2}-\d{2}) \d{2}:\d{2}:\d{2} GMT$/;
/** The third, of C's asctime(): GMT too, which it does not say. */
const ASCTIME = /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d{2}:\d{2}:\d{2} \d{4}$/;

/** Milliseconds since 1970; undefined: there is none, or it is no date of HTTP's. */
export function httpDateMs(text: string | undefined): number | undefined {
  const date = text?.trim() ?? '';
  const ms = GMT_FORMS.test(date)
    ? Date.parse(date)
    : ASCTIME.test(date)
      ? Date.parse(`${date} GMT`)
      : Number.NaN;
  return Number.isNaN(ms) ? undefined : ms;
}
