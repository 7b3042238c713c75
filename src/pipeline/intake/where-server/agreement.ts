// The step `agree`: before a sink judges the first row of a table with these columns, a server is asked whether it means the same by the
// filter. One that means something else halts the sink; one that does not answer stops nothing.
import type { Relation } from '../../../core/change.ts';
import type { TailraceError } from '../../../core/errors.ts';
import { namedColumns } from '../../../functions/where/named-columns.ts';
import type { PlacedFilter, SinkSettings } from '../../settings.ts';
import type { Step } from '../steps.ts';
import { filtersFor, hasFilter } from '../table-filter.ts';
import type { TablePlan } from '../table-plan.ts';
import type { Compared } from './comparison.ts';
import { disagreementError } from './disagreement.ts';

/** So long the first rows wait for an answer. When one has not come, those of other tables do not wait either. */
const WAIT_MS = 3000;
/** A server that could not be asked is asked again, without waiting. */
const ASK_AGAIN_MS = 60_000;
/** Verdicts kept: beyond that the oldest is asked for again. */
const MAX_KEPT = 1000;

export type AgreementPorts = {
  /** Rejects where no server answers. */
  compare(filter: PlacedFilter, relation: Relation): Promise<Compared>;
  /** It could not be asked. */
  unanswered(filter: PlacedFilter, error: unknown): void;
  /** Never set back. */
  nowMs(): number;
  /** Resolves after that time. */
  readonly sleep: (ms: number) => Promise<void>;
};

/** Of one filter and the columns that it names, whichever table has them. */
type Verdict = {
  state: 'asking' | 'agrees' | 'unanswered' | TailraceError;
  answer: Promise<void>;
  askedMs: number;
};

/** Undefined: the sink has no filter. */
export function agreementStep(
  settings: Pick<SinkSettings, 'where' | 'tables'>,
  ports: AgreementPorts,
): Step | undefined {
  if (!hasFilter(settings)) return undefined;
  const agreements = new Agreements(settings, ports);
  return (rows) => {
    const answers = new Set<Promise<void>>();
    let last: TablePlan | undefined;
    for (const { plan } of rows) {
      if (plan === last) continue;
      last = plan;
      for (const answer of agreements.unsettled(plan)) answers.add(answer);
    }
    return answers.size === 0 ? undefined : agreements.wait([...answers], rows.all);
  };
}

class Agreements {
  readonly #settings: Pick<SinkSettings, 'where' | 'tables'>;
  readonly #ports: AgreementPorts;
  readonly #verdicts = new Map<string, Verdict>();
  readonly #settled = new WeakSet<TablePlan>();
  /** An answer took too long: nobody waits for the next ones. */
  #isSlow = false;

  constructor(settings: Pick<SinkSettings, 'where' | 'tables'>, ports: AgreementPorts) {
    this.#settings = settings;
    this.#ports = ports;
  }

  /** What is to be waited for before rows of this table are judged. Throws where the server has said something else. */
  unsettled(plan: TablePlan): readonly Promise<void>[] {
    const verdicts = this.#check(plan);
    if (this.#isSlow) return [];
    return verdicts.flatMap(({ state, answer }) => (state === 'asking' ? [answer] : []));
  }

  /** Throws where the server has said something else. */
  #check(plan: TablePlan): readonly Verdict[] {
    if (plan.filter === undefined || this.#settled.has(plan)) return [];
    const verdicts = this.#filtersOf(plan).map((filter) => this.#verdictOf(filter, plan.relation));
    const disagreeing = verdicts.find(({ state }) => typeof state === 'object');
    if (disagreeing !== undefined) throw disagreeing.state as TailraceError;
    plan.isDoubted = verdicts.some(({ state }) => state !== 'agrees');
    if (!plan.isDoubted) this.#settled.add(plan);
    return verdicts;
  }

  /** Until these are there, or for as long as rows may wait. */
  async wait(answers: readonly Promise<void>[], rows: Iterable<{ readonly plan: TablePlan }>): Promise<void> {
    const isInTime = await Promise.race([
      Promise.all(answers).then(() => true),
      this.#ports.sleep(WAIT_MS).then(() => false),
    ]);
    this.#isSlow = !isInTime;
    for (const plan of new Set([...rows].map((row) => row.plan))) this.#check(plan);
  }

  #filtersOf({ relation }: TablePlan): readonly PlacedFilter[] {
    return filtersFor(relation, this.#settings);
  }

  #verdictOf(filter: PlacedFilter, relation: Relation): Verdict {
    const key = keyOf(filter, relation);
    const known = this.#verdicts.get(key);
    const isOver = known?.state === 'unanswered' && this.#ports.nowMs() - known.askedMs > ASK_AGAIN_MS;
    if (known !== undefined && !isOver) return known;
    const verdict = this.#ask(filter, relation);
    // Asked again: whoever does not answer is not waited for.
    if (known !== undefined) this.#isSlow = true;
    if (this.#verdicts.size >= MAX_KEPT) this.#verdicts.delete(this.#verdicts.keys().next().value!);
    this.#verdicts.set(key, verdict);
    return verdict;
  }

  #ask(filter: PlacedFilter, relation: Relation): Verdict {
    const verdict: Verdict = { state: 'asking', answer: Promise.resolve(), askedMs: this.#ports.nowMs() };
    verdict.answer = this.#ports.compare(filter, relation).then(
      (compared) => {
        this.#isSlow = false;
        const isOther = compared.kind === 'refused' || compared.kind === 'differs';
        verdict.state = isOther ? disagreementError(filter, relation, compared) : 'agrees';
      },
      (error: unknown) => {
        verdict.state = 'unanswered';
        this.#ports.unanswered(filter, error);
      },
    );
    return verdict;
  }
}

/** One server answers alike for all tables that have the same columns, as far as the filter names them. */
function keyOf({ text, syntax }: PlacedFilter, { columns }: Relation): string {
  const named = new Set(namedColumns(syntax).map(({ name }) => name));
  const types = columns.flatMap(({ name, type, typeModifier }) =>
    named.has(name) ? [[name, type, typeModifier]] : [],
  );
  return JSON.stringify([text, types]);
}
