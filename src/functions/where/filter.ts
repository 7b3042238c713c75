// A filter, compiled for one relation: which changes of it pass. Pure; hot (bench/micro/where.ts).
import type { Relation, RowEvent } from '../../core/change.ts';
import { relationScope } from './relation-scope.ts';
import { resolveFilter } from './resolve.ts';
import type { ChangeFacts } from './scope.ts';
import type { Filter } from './syntax.ts';
import type { ResolvedChoice } from './resolved-choice.ts';
import { ABSENT } from './values/value.ts';

/** `absent`: what Postgres did not send decides it. */
export type Verdict = 'pass' | 'drop' | 'absent';

export type CompiledFilter = {
  /** Only `true` passes. Throws EvaluationError. */
  judge(event: RowEvent, change: ChangeFacts): Verdict;
};

/** Throws WhereRefusal where the filter has no meaning for this relation. */
export function compileFilter({ syntax }: Filter, relation: Relation): CompiledFilter {
  const { evaluate } = resolveFilter(syntax, relationScope(relation));
  return {
    judge: (event, change) => {
      const result = evaluate({ event, change });
      return result === true ? 'pass' : result === ABSENT ? 'absent' : 'drop';
    },
  };
}

/** Every choice among types, overloads and casts that the filter's meaning for a relation rests on. Throws as `compileFilter`. */
export function choicesIn({ syntax }: Filter, relation: Relation): readonly ResolvedChoice[] {
  const choices: ResolvedChoice[] = [];
  resolveFilter(syntax, { ...relationScope(relation), chosen: (choice) => choices.push(choice) });
  return choices;
}
