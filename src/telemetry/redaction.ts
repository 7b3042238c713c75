// Takes passwords out of connection URLs, wherever a text may carry one.

/** Linear: a slash ends every attempt, and none begins without one. What is behind the last `@` is the host. */
const URL_PASSWORD = /(:\/\/[^\s:/?#@]*):[^\s/?#]*@/g;

/** `postgresql://app:secret@db/shop` → `postgresql://app:…@db/shop`. */
export const redactUrlPasswords = (text: string): string => text.replaceAll(URL_PASSWORD, '$1:…@');
