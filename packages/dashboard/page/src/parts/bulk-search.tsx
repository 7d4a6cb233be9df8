/** Changes all jobs that match a search: a dialog with a preview of their number, and the operations that run. */
import { useContext, useState } from 'preact/hooks';
import { act } from '../api.js';
import { number, plural } from '../format.js';
import { useLive } from '../live.js';
import type { BulkOperation } from '../types.js';
import { Action, AppContext, Dialog, useSending } from './action.js';
import { Problem, State, Time } from './parts.js';

const ACTIONS = [
  ['jobs.replay', 'Retry', 'Failed jobs run again, with all their attempts.'],
  ['jobs.promote', 'Run now', 'Delayed jobs become due.'],
  ['jobs.revoke', 'Revoke', 'Jobs that have not ended are revoked.'],
  ['jobs.drop', 'Drop', 'Ended jobs are removed from the store.'],
] as const;

type BulkAction = (typeof ACTIONS)[number];

interface BulkSearchProps {
  readonly q: string;
  /** The actions that may change a job of the search. */
  readonly actions: readonly string[];
}

/** A button for each action that changes jobs of a search and that the user may do. */
export function BulkSearch({ q, actions }: BulkSearchProps) {
  const app = useContext(AppContext);
  const [chosen, setChosen] = useState<BulkAction>();
  const allowed = ACTIONS.filter(
    ([action]) => actions.includes(action) && app?.actions.includes(action) === true,
  );
  return (
    <>
      {allowed.map((each) => (
        <button
          key={each[0]}
          type="button"
          class={each[1] === 'Drop' ? 'danger' : ''}
          onClick={() => setChosen(each)}
        >
          {each[1]} all
        </button>
      ))}
      {chosen !== undefined && <BulkDialog q={q} action={chosen} onClose={() => setChosen(undefined)} />}
    </>
  );
}

interface BulkDialogProps {
  readonly q: string;
  readonly action: BulkAction;
  readonly onClose: () => void;
}

function BulkDialog({ q, action: [action, label, meaning], onClose }: BulkDialogProps) {
  const query = new URLSearchParams({ action, q });
  const preview = useLive<{ count: number; isComplete: boolean }>(`/operations/preview?${query}`);
  const { error, isBusy, run } = useSending();
  const count = preview.data?.count ?? 0;
  const isMore = preview.data?.isComplete === false;
  const send = () =>
    run(async () => {
      await act(action, { q });
      onClose();
    });
  return (
    <Dialog title={`${label} all`} onClose={onClose}>
      <p>
        {meaning} {q === '' ? 'All jobs are searched.' : <code>{q}</code>}
      </p>
      <Problem error={error ?? preview.error} />
      {preview.data === undefined && preview.error === undefined && <p class="dim">Counting …</p>}
      {preview.data !== undefined && (
        <p>
          <strong>
            {plural(count, 'job')}
            {isMore && ' or more'}
          </strong>{' '}
          match now.
        </p>
      )}
      <div class="actions end">
        <button type="button" onClick={onClose}>
          Cancel
        </button>
        <button
          type="button"
          class={action === 'jobs.drop' ? 'danger solid' : 'solid'}
          disabled={isBusy || (count === 0 && !isMore)}
          onClick={() => void send()}
        >
          {label} {number(count)}
          {isMore && '+'}
        </button>
      </div>
    </Dialog>
  );
}

const STATES = {
  collecting: 'delayed',
  running: 'active',
  done: 'completed',
  aborted: 'revoked',
  failed: 'failed',
} as const;

/** The operations of the server, with their progress. */
export function Operations() {
  const { data, reload } = useLive<{ operations: readonly BulkOperation[] }>('/operations');
  const operations = data?.operations ?? [];
  if (operations.length === 0) return null;
  return (
    <section class="card" aria-label="Operations">
      <ul class="operations">
        {operations.map(
          ({ id, action, q, user, state, total, changed, skipped, reasons, error, ...rest }) => (
            <li key={id}>
              <State state={STATES[state]} own={state} />{' '}
              <strong>{ACTIONS.find(([name]) => name === action)?.[1] ?? action}</strong>{' '}
              <code>{q === '' ? 'all jobs' : q}</code> <span class="dim">by {user}, </span>
              <Time at={rest.startedAt} />
              {rest.endedAt === undefined && (
                <>
                  <progress max={Math.max(total, 1)} value={changed + skipped} aria-label="Progress" />
                  <Action action="jobs.abort" label="Abort" body={{ id }} onDone={reload} />
                </>
              )}
              <div class="dim sub">
                {number(changed)} of {plural(total, 'job')} changed
                {skipped > 0 && `, ${number(skipped)} skipped: ${reasons.join(' ')}`}
                {rest.isCut && '. There are more: start it again for the rest.'}
              </div>
              {error !== undefined && <Problem error={new Error(error)} />}
            </li>
          ),
        )}
      </ul>
    </section>
  );
}
