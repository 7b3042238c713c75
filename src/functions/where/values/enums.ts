// The places of an enum's labels in their order, as far as they are known.
// https://www.postgresql.org/docs/current/catalog-pg-enum.html
import { EvaluationError } from './failure.ts';

/** A label that was added after the labels were noted has no place until it is learnt; then, or where there is none, it is an error. */
export class EnumPlaces {
  readonly oid: number;
  #places: ReadonlyMap<string, number>;
  #isLearnt = false;

  constructor(oid: number, labels: readonly string[]) {
    this.oid = oid;
    this.#places = placesOf(labels);
  }

  /** Throws UnknownLabel, or EvaluationError where that would be of no use. */
  placeOf(label: string): number {
    const place = this.#places.get(label);
    if (place !== undefined) return place;
    throw this.#isLearnt ? new EvaluationError('22P02') : new UnknownLabel(this);
  }

  /** As the catalog has them now; undefined: nobody says. Once is enough: what was known stays as it is where a label was renamed. */
  learn(labels: readonly string[] | undefined): void {
    this.#isLearnt = true;
    if (labels === undefined) return;
    const places = placesOf(labels);
    if ([...this.#places.keys()].every((label) => places.has(label))) this.#places = places;
  }
}

const placesOf = (labels: readonly string[]): ReadonlyMap<string, number> =>
  new Map(labels.map((label, place) => [label, place]));

/** The catalog can be asked for it. */
export class UnknownLabel extends EvaluationError {
  readonly places: EnumPlaces;

  constructor(places: EnumPlaces) {
    super('22P02');
    this.places = places;
  }
}
