// Dates and times as Debezium's `time.precision.mode` has them: whole numbers of days, milli-, micro- or nanoseconds, or ISO 8601.
// https://debezium.io/documentation/reference/3.6/connectors/postgresql.html#postgresql-temporal-types
import { writeJsonString } from '../../core/json.ts';
import { integer } from '../../core/json-type.ts';
import type { DebeziumValues, ValueForm, ValueRenderer } from '../../core/render.ts';
import { TYPE } from './builtin.ts';
import { text } from './forms.ts';
import {
  createMoment,
  epochSeconds,
  isoDate,
  isoTime,
  readDate,
  readTime,
  readTimestamp,
  SECONDS_A_DAY,
  writeCount,
  type Unit,
} from './moments.ts';
import { isIsoTimestamp, timestampRenderer, timestamptzRenderer } from './scalar.ts';

type Mode = DebeziumValues['time'];

const DASH = 0x2d;
/** The last letter of BC. */
const UPPER_C = 0x43;
const moment = createMoment();

export function debeziumTimes(type: number, modifier: number, mode: Mode): ValueForm {
  switch (type) {
    case TYPE.date:
      return mode === 'isostring' ? text(writeIsoDate) : { render: writeDays, type: integer(32) };
    case TYPE.time:
      return mode === 'isostring' ? text(writeIsoTime) : count(timeRenderer(timeUnit(mode, modifier)));
    case TYPE.timetz:
      return text(writeZonedTime);
    case TYPE.timestamp:
      return mode === 'isostring' ? text(isoTimestamp) : count(timestampCount(timestampUnit(mode, modifier)));
    default:
      return text(zonedTimestamp(modifier === -1 ? MAX_DIGITS : modifier));
  }
}

const count = (render: ValueRenderer): ValueForm => ({ render, type: integer(64) });

const MAX_DIGITS = 6;

const unitOf = (modifier: number): Unit => (modifier >= 0 && modifier <= 3 ? 3 : 6);

function timeUnit(mode: Exclude<Mode, 'isostring'>, modifier: number): Unit {
  return mode === 'adaptive_time_microseconds' ? 6 : timestampUnit(mode, modifier);
}

function timestampUnit(mode: Exclude<Mode, 'isostring'>, modifier: number): Unit {
  switch (mode) {
    case 'adaptive':
    case 'adaptive_time_microseconds':
      return unitOf(modifier);
    case 'connect':
      return 3;
    case 'microseconds':
      return 6;
    case 'nanoseconds':
      return 9;
    default:
      return mode satisfies never;
  }
}

/** Postgres' own numbers for these. https://github.com/postgres/postgres/blob/master/src/include/utils/date.h (DATEVAL_NOEND) */
const MAX_DAYS = 2_147_483_647;

const writeDays: ValueRenderer = (bytes, start, length, writer) => {
  if (readDate(bytes, start, length, moment)) writer.latin1(String(moment.days));
  else writer.latin1(String(bytes[start] === DASH ? -MAX_DAYS - 1 : MAX_DAYS));
};

const writeIsoDate: ValueRenderer = (bytes, start, length, writer) => {
  if (readDate(bytes, start, length, moment)) writer.latin1(`"${isoDate(moment.days)}Z"`);
  else writeJsonString(bytes, start, length, writer);
};

const timeRenderer =
  (unit: Unit): ValueRenderer =>
  (bytes, start, length, writer) => {
    if (!readTime(bytes, start, length, moment)) return writeJsonString(bytes, start, length, writer);
    writeCount(moment.secondOfDay, moment.microseconds, unit, writer);
  };

const writeIsoTime: ValueRenderer = (bytes, start, length, writer) => {
  if (!readTime(bytes, start, length, moment)) return writeJsonString(bytes, start, length, writer);
  writer.latin1(`"${isoTime(moment.secondOfDay, moment.microseconds)}Z"`);
};

/** At the offset 0, whatever the text's own. */
const writeZonedTime: ValueRenderer = (bytes, start, length, writer) => {
  if (!readTime(bytes, start, length, moment)) return writeJsonString(bytes, start, length, writer);
  const { secondOfDay, offsetSeconds, microseconds } = moment;
  const utc = (((secondOfDay - offsetSeconds) % SECONDS_A_DAY) + SECONDS_A_DAY) % SECONDS_A_DAY;
  writer.latin1(`"${isoTime(utc, microseconds)}Z"`);
};

/** What stands for ±infinity: the JDBC driver's, in milliseconds, taken for microseconds. */
const POSITIVE_INFINITY = { 3: '9223372036825200', 6: '9223372036825200000', 9: '9223372036854775807' };
const NEGATIVE_INFINITY = { 3: '-9223372036832400', 6: '-9223372036832400000', 9: '-9223372036854775808' };

const timestampCount =
  (unit: Unit): ValueRenderer =>
  (bytes, start, length, writer) => {
    if (readTimestamp(bytes, start, length, moment)) {
      writeCount(epochSeconds(moment), moment.microseconds, unit, writer);
    } else writer.latin1((bytes[start] === DASH ? NEGATIVE_INFINITY : POSITIVE_INFINITY)[unit]);
  };

/** Four-digit years are written straight from the text; others have a sign, and none is BC. ±infinity stays a word. */
const withIsoYears =
  (usual: ValueRenderer, zoneLength: number, digits: number | undefined): ValueRenderer =>
  (bytes, start, length, writer) => {
    const isPlain = bytes[start + length - 1] !== UPPER_C;
    if (isPlain && isIsoTimestamp(bytes, start, length - zoneLength))
      return usual(bytes, start, length, writer);
    if (!readTimestamp(bytes, start, length, moment)) return writeJsonString(bytes, start, length, writer);
    const { days, secondOfDay, microseconds } = moment;
    writer.latin1(`"${isoDate(days)}T${isoTime(secondOfDay, microseconds, digits)}Z"`);
  };

const isoTimestamp = withIsoYears(timestampRenderer({ digits: 'as_needed', z: true }), 0, undefined);

/** Sessions have the time zone UTC. */
const ZONE_LENGTH = '+00'.length;

const zonedTimestamp = (digits: number): ValueRenderer =>
  withIsoYears(timestamptzRenderer({ digits }), ZONE_LENGTH, digits);
