// Which shape the composites of a row had when it was written, where that can be proved: ALTER TYPE sends no Relation message.
//
// Postgres writes a row's text with the catalog as of the row's own place in the WAL. So a shape is proved for a row when a look
// from before that place and one from after its arrival show the same versions of it, and when nobody had a relation of it for
// himself at the second: a commit may stand in the WAL before anybody can see it. What is not proved is Postgres' text.
import type { Client } from 'pg';
import type { TypeCatalog } from '../../core/change.ts';
import type { Version } from '../../core/look.ts';
import type { Lsn } from '../../core/lsn.ts';
import { isLaterXid, type Enrichment } from '../../pgoutput/enrichment.ts';
import type { RawRelation } from '../../pgoutput/messages.ts';
import { partsOf } from '../catalog.ts';
import { walStartOf } from '../replication/input.ts';
import { lookAtShapes, lookAtAttributes, type Shape } from './look.ts';

export type ProofPorts = {
  readonly client: Client;
  /** Where the WAL ended after the earliest look that is remembered to have seen a type with this shape. */
  readonly seenSince: (type: number, version: Version) => Lsn | undefined;
  /** A shape has another version than at any look that is remembered: a look to remember is due. */
  readonly changed: () => Promise<void>;
  /** From here on these types of a relation's columns are text. */
  readonly becameText: (relation: RawRelation, types: readonly string[]) => void;
  /**
   * Given for a server that `remembersShapes`: a row comes that would be proved, and the server may have written it with an older
   * shape. It may throw, to connect again; where it returns, the row is text.
   */
  readonly remembered: (() => void) | undefined;
};

/** A relation in whose columns there are composites. */
type ShapedRelation = {
  readonly raw: RawRelation;
  /** Its Relation message. */
  readonly message: Buffer;
  readonly enrichment: Enrichment;
  /** The types of its columns in which there is a composite. */
  readonly roots: readonly number[];
  /** By root, the shape that stands in front of the rows that come now; undefined: it is text. */
  inForce: (Shape | undefined)[];
};

/** What is known of a column's type. */
type Known = {
  /** Undefined: it is not there any more. */
  shape: Shape | undefined;
  /** It has had this shape from here on, up to the last look. */
  since: Lsn;
  /** At the last look nobody had a relation of it for himself. */
  isFree: boolean;
  /** The batch that the last look came after. */
  batch: number;
};

/** Where a message stands in its batch, and the transaction that it is of. */
export type MessagePlace = {
  readonly bytes: Buffer;
  readonly start: number;
  readonly xid: number;
};

/** What stands in front of a row from now on. */
export type Reshaped = {
  readonly relation: RawRelation;
  readonly message: Buffer;
  readonly enrichment: Enrichment;
};

/** One a connection. Invariant: rows are judged by a look that was taken after their batch was received. */
export class ShapeProofs {
  readonly #ports: ProofPorts;
  readonly #relations = new Map<number, ShapedRelation>();
  readonly #known = new Map<number, Known>();
  #batch = 0;
  #unproved = 0;
  /**
   * The last transaction with a row from before its type had the shape that is known: a server may go on in it with the shape that
   * it remembers, and an older one even behind it.
   */
  #olderIn: number | undefined;

  constructor(ports: ProofPorts) {
    this.#ports = ports;
  }

  /** A batch was received: what was seen before says nothing of its rows. */
  received(): void {
    this.#batch++;
  }

  /** Is there any relation with composites? Others are asked nothing. */
  get isNeeded(): boolean {
    return this.#relations.size > 0;
  }

  /**
   * The relation whose message has come, with what the catalog says of it. Answers what the types of its columns are now: its
   * message does not say where its rows stand in the WAL, so each of them is judged when it comes.
   */
  async relation(raw: RawRelation, message: Buffer, enrichment: Enrichment): Promise<Enrichment> {
    this.#relations.delete(raw.id);
    const roots = rootsOf(raw, enrichment.types);
    if (roots.length === 0) return enrichment;
    const relation = { raw, message: Buffer.from(message), enrichment, roots, inForce: [] };
    this.#relations.set(raw.id, relation);
    await this.look([raw.id]);
    return this.#shaped(
      relation,
      roots.map((root) => this.#known.get(root)!.shape),
    );
  }

  /**
   * Judges a row. `look`: call `look` first, and ask again; else what has to stand in front of it, undefined where that is what
   * stood in front of the one before.
   */
  judge(relationId: number, { bytes, start, xid }: MessagePlace): Reshaped | 'look' | undefined {
    const relation = this.#relations.get(relationId);
    if (relation === undefined) return undefined;
    const { roots, inForce } = relation;
    if (!roots.every((root) => this.#isLookedAt(root))) return 'look';
    const lsn = walStartOf(bytes, start);
    const shapes = roots.map((root) => {
      const known = this.#known.get(root)!;
      return this.#isProved(known, lsn, xid) ? known.shape : undefined;
    });
    if (shapes.includes(undefined)) this.#unproved++;
    // Another shape is another object, also where both are proved.
    if (shapes.every((shape, i) => shape === inForce[i])) return undefined;
    const enrichment = this.#shaped(relation, shapes);
    return { relation: relation.raw, message: relation.message, enrichment };
  }

  /** A row that is logged already: it is not judged, but the server has seen its types as they were. */
  passed(relationId: number, { bytes, start, xid }: MessagePlace): void {
    const lsn = walStartOf(bytes, start);
    for (const root of this.#relations.get(relationId)?.roots ?? []) {
      const { shape, since } = this.#known.get(root)!;
      if (lsn < since && (shape === undefined || !isAsCreated(shape, xid))) this.#olderIn = xid;
    }
  }

  /** Had a type the shape that is known of it when a row was written? */
  #isProved({ shape, since, isFree }: Known, lsn: Lsn, xid: number): boolean {
    if (shape === undefined) return false;
    if (isAsCreated(shape, xid)) return isFree;
    if (lsn < since) this.#olderIn = xid;
    if (lsn < since || this.#olderIn === xid || !isFree) return false;
    if (this.#olderIn === undefined || this.#ports.remembered === undefined) return true;
    this.#ports.remembered();
    return false;
  }

  /** How many rows since the last call have a value that is text because its shape was not proved. */
  takeUnproved(): number {
    const count = this.#unproved;
    this.#unproved = 0;
    return count;
  }

  #isLookedAt(root: number): boolean {
    return this.#known.get(root)?.batch === this.#batch;
  }

  /** The enrichment with these shapes of the roots; where one has none, its composites are text. */
  #shaped(relation: ShapedRelation, shapes: (Shape | undefined)[]): Enrichment {
    const { enrichment, roots, raw, inForce } = relation;
    relation.inForce = shapes;
    const types = new Map(enrichment.types);
    for (const shape of shapes) for (const [oid, info] of shape?.types ?? []) types.set(oid, info);
    const became = new Set<string>();
    for (const [i, root] of roots.entries()) {
      if (shapes[i] !== undefined) continue;
      for (const oid of compositesOf(root, enrichment.types)) {
        if (inForce[i] !== undefined || inForce.length === 0) became.add(enrichment.types.get(oid)!.name);
        // A type that is not described is rendered as text.
        types.delete(oid);
      }
    }
    if (became.size > 0) this.#ports.becameText(raw, [...became]);
    return { ...enrichment, types };
  }

  /** One look at the types of these relations (others may be among them). Rejects with what `pg` throws. */
  async look(relationIds: Iterable<number>): Promise<void> {
    const roots = new Set([...relationIds].flatMap((id) => this.#relations.get(id)?.roots ?? []));
    const due = [...roots].filter((root) => !this.#isLookedAt(root));
    const changed = await this.#compare(due);
    if (changed.length > 0) await this.#learn(changed);
  }

  /** Answers the types whose shape is new, or another one. */
  async #compare(roots: readonly number[]): Promise<readonly number[]> {
    const relations = new Set(
      roots.flatMap((root) => [...(this.#known.get(root)?.shape?.relations.keys() ?? [])]),
    );
    if (relations.size === 0) return roots;
    const { seen, locked } = await lookAtAttributes(this.#ports.client, [...relations]);
    return roots.filter((root) => {
      const before = this.#known.get(root);
      if (before?.shape === undefined) return true;
      for (const [relation, version] of before.shape.relations)
        if (seen.get(relation) !== version) return true;
      before.isFree = isFree(before.shape, locked);
      before.batch = this.#batch;
      return false;
    });
  }

  async #learn(roots: readonly number[]): Promise<void> {
    const { client, seenSince, changed } = this.#ports;
    let look = await lookAtShapes(client, roots);
    if ([...look.seen].some(([root, { version }]) => seenSince(root, version) === undefined)) {
      await changed();
      look = await lookAtShapes(client, roots);
    }
    for (const root of roots) {
      const shape = look.seen.get(root);
      this.#known.set(root, {
        shape,
        since: (shape && seenSince(root, shape.version)) ?? look.walAfter,
        isFree: isFree(shape, look.locked),
        batch: this.#batch,
      });
    }
  }
}

const isFree = (shape: Shape | undefined, locked: ReadonlySet<number>): boolean =>
  shape === undefined || ![...shape.relations.keys()].some((relation) => locked.has(relation));

/**
 * Was nothing altered since the type was created, by a transaction that the row's cannot be a part of? Then it saw all of it.
 * Subtransactions have later ids than what they are part of.
 */
const isAsCreated = ({ createdBy }: Shape, xid: number): boolean =>
  createdBy !== undefined && (createdBy === 0 || isLaterXid(xid, createdBy));

/** The types of columns in which there is a composite, under arrays and domains or not. */
const rootsOf = ({ columns }: RawRelation, types: TypeCatalog): readonly number[] =>
  [...new Set(columns.map(({ type }) => type))].filter((type) => compositesOf(type, types).length > 0);

/** The composites that a type is made of: itself, or what it is an array or a domain of. No type is made of itself. */
function compositesOf(type: number, types: TypeCatalog): readonly number[] {
  const info = types.get(type);
  if (info === undefined) return [];
  return info.kind === 'composite' ? [type] : partsOf(info).flatMap((part) => compositesOf(part, types));
}
