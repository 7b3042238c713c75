// Does whoever reads an output want colours?

export type ColorEnvironment = Readonly<Record<string, string | undefined>>;

/**
 * FORCE_COLOR decides where it is set (https://force-color.org; `0` and `false` say no, as Node reads it), then NO_COLOR
 * (https://no-color.org), then what the output is: a terminal that is not TERM=dumb.
 */
export function wantsColor(output: { readonly isTTY?: boolean }, env: ColorEnvironment): boolean {
  const forced = env['FORCE_COLOR'] ?? '';
  if (forced !== '') return forced !== '0' && forced !== 'false';
  if ((env['NO_COLOR'] ?? '') !== '') return false;
  return output.isTTY === true && env['TERM'] !== 'dumb';
}
