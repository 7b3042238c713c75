// Rendering of messages into the arenas of a sink, by the plans of their tables. Hot: once for every message.
import type { ByteWriter } from '../../core/byte-writer.ts';
import type { RowAction, RowEvent } from '../../core/change.ts';
import type { RenderContext } from '../../formats/format.ts';
import type { Arena, Arenas } from '../delivery/arena.ts';
import type { Pending } from '../delivery/pending.ts';
import type { Rendered, SharedRow, SharedRows } from './shared-rows.ts';
import type { TablePlan } from './table-plan.ts';

export type RenderingPorts = {
  readonly arenas: Arenas;
  /** Messages wait for consumers, perhaps for hours: each gets bytes of its own, or one would hold a whole arena. */
  readonly staysLong: boolean;
};

export class MessageRendering {
  readonly #ports: RenderingPorts;
  readonly #context: RenderContext = {
    transaction: undefined as never,
    index: 0,
    key: undefined as never,
    keyChange: false,
    moved: undefined,
    read: false,
  };

  constructor(ports: RenderingPorts) {
    this.#ports = ports;
  }

  /** `event`: its row, as the message says it. Answers where the message was written. */
  row(message: Pending, event: RowEvent): Rendered {
    const arena = this.#begin(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    const { render, facts } = tablePlan(message);
    render.render(event, this.#context, writer);
    this.#end(message, arena, { length, escapes });
    if (facts !== undefined) message.row = facts.read(event);
    return { writer, length, escapes, own: this.#context.own };
  }

  /** As another sink has rendered it. `action`: of the row. */
  copy(
    message: Pending,
    action: RowAction,
    { rows, row }: { readonly rows: SharedRows; readonly row: SharedRow },
  ): void {
    const arena = this.#begin(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    const { render } = tablePlan(message);
    writer.bytes(rows.bytes, row.start, row.ownAt);
    render.renderOwn!(action, this.#context, writer);
    writer.bytes(rows.bytes, row.ownAt, row.end);
    writer.escapes += row.escapes;
    this.#end(message, arena, { length, escapes });
  }

  truncate(message: Pending): void {
    const arena = this.#begin(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    tablePlan(message).render.renderTruncate(this.#context, writer);
    this.#end(message, arena, { length, escapes });
  }

  schema(message: Pending): void {
    const arena = this.#begin(message);
    const { writer } = arena;
    const { length, escapes } = writer;
    const { render, schemaChange } = tablePlan(message);
    render.renderSchema(schemaChange!.change, this.#context, writer);
    this.#end(message, arena, { length, escapes });
  }

  /** What is of no table. */
  other(message: Pending, write: (writer: ByteWriter) => void): void {
    const arena = this.#ports.arenas.enter();
    const { writer } = arena;
    const { length, escapes } = writer;
    write(writer);
    this.#end(message, arena, { length, escapes });
  }

  #begin(message: Pending): Arena {
    const context = this.#context;
    context.transaction = message.transaction;
    context.index = message.index;
    context.key = message;
    context.keyChange =
      message.part !== undefined && message.part !== 'schema' && message.moved === undefined;
    context.moved = message.moved;
    context.read = message.action === 'read';
    return this.#ports.arenas.enter();
  }

  #end(message: Pending, arena: Arena, before: { length: number; escapes: number }): void {
    message.rendered(arena, before.length, before.escapes);
    if (this.#ports.staysLong) message.own(this.#ports.arenas);
  }
}

/** What comes from the log has a plan that was compiled for it. */
export const tablePlan = ({ plan }: Pending): TablePlan => plan as TablePlan;
