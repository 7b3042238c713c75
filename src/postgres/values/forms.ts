// Forms of values that are the same in every format.
import { writeJsonString } from '../../core/json.ts';
import { integer, STRING } from '../../core/json-type.ts';
import type { ValueForm, ValueRenderer } from '../../core/render.ts';
import { TYPE } from './builtin.ts';
import { writeVerbatim } from './scalar.ts';

/** Postgres' text. */
export const TEXT: ValueForm = { render: writeJsonString, type: STRING };

/** A text that is made of Postgres'. */
export const text = (render: ValueRenderer): ValueForm => ({ render, type: STRING });

/** Of int2, int4, int8 and oid. */
export const integerForm = (type: number): ValueForm => ({
  render: writeVerbatim,
  type: integer(type === TYPE.int2 ? 16 : type === TYPE.int4 ? 32 : type === TYPE.int8 ? 64 : 53),
});
