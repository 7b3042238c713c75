// Takes passwords out of connection URLs, wherever a text may carry one.

const URL_PASSWORD = /\b([a-z][a-z0-9+.-]*:\/\/[^\s:/?#@]*):[^\s/?#@]*@/gi;

/** `postgresql://app:secret@db/shop` → `postgresql://app:…@db/shop`. */
export const redactUrlPasswords = (text: string): string => text.replaceAll(URL_PASSWORD, '$1:…@');
