// Arenas of several sinks of a thread, which take each other's: nobody writes over what somebody has still to send.
import { expect, test } from 'vitest';
import { Arenas, type Arena } from '../../../src/pipeline/delivery/arena.ts';

const FULL_BYTES = 256 * 1024;

/** A message that fills what is left of an arena. */
function fill(arenas: Arenas, letter: string): Arena {
  const arena = arenas.enter();
  arena.writer.latin1(letter.repeat(FULL_BYTES));
  return arena;
}

const textOf = ({ writer }: Arena): string => writer.buffer.toString('latin1', 0, writer.length);

test('an arena is another sink’s once its last message is gone, and not before', () => {
  const [one, other] = [new Arenas(), new Arenas()];
  const arena = one.enter();
  arena.writer.latin1('first');
  expect(fill(one, 'a') === arena).toBe(true);
  expect(fill(one, 'b').writer === arena.writer).toBe(false);
  one.leave(arena);
  fill(other, 'c');
  expect(fill(other, 'd').writer === arena.writer).toBe(false);
  expect(textOf(arena).slice(0, 6)).toBe('firsta');
  one.leave(arena);
  expect(fill(other, 'e').writer === arena.writer).toBe(true);
  expect(textOf(arena).slice(0, 6)).toBe('eeeeee');
});

test('the arena that a sink writes to is its own, also while nothing lies there', () => {
  const [one, other] = [new Arenas(), new Arenas()];
  const arena = fill(one, 'a');
  one.leave(arena);
  fill(other, 'b');
  expect(fill(other, 'c').writer === arena.writer).toBe(false);
  expect(textOf(arena).slice(0, 6)).toBe('aaaaaa');
});
