// Remembers the versions of the publication's own row that we made ourselves, so that they are no news to a later look.
import type { Look } from '../../core/look.ts';

/** Of these one look sees no more than a few. */
const MAX_ALTERED = 16;

export class AlteredVersions {
  /** What we have made of earlier versions, by those. */
  readonly #made = new Map<string, string>();

  add({ from, to }: { readonly from: string; readonly to: string }): void {
    const [oldest] = this.#made.keys();
    if (this.#made.size >= MAX_ALTERED) this.#made.delete(oldest!);
    this.#made.set(from, to);
  }

  /** The look as it would be if what we altered had been so before. */
  in(look: Look): Look {
    const { publication } = look.catalog;
    const to = publication && this.#made.get(publication.version);
    if (to === undefined) return look;
    return this.in({
      ...look,
      catalog: { ...look.catalog, publication: { ...publication!, version: to } },
    });
  }
}
