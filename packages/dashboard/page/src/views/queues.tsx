/** Queues with their counts and limits, and the actions for them. */
import { duration, number } from '../format.js';
import { useLive } from '../live.js';
import { Action } from '../parts/action.js';
import { QUEUE_COMMANDS } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { Empty, Problem, State, Title } from '../parts/parts.js';
import { Link, withQuery } from '../router.js';
import type { Queue } from '../types.js';
import { LimitsButton } from './queue-limits.js';

const COUNTED = ['waiting', 'delayed', 'waiting-children', 'active', 'failed', 'completed'] as const;

export function Queues() {
  const { data, error, reload } = useLive<{ queues: readonly Queue[] }>('/queues');
  return (
    <>
      <Title title="Queues">
        <CopyCommands commands={QUEUE_COMMANDS} />
      </Title>
      <Problem error={error} />
      {data?.queues.length === 0 && <Empty>The app has no queues yet.</Empty>}
      <div class="cards">
        {data?.queues.map((queue) => (
          <QueueCard key={queue.name} queue={queue} reload={reload} />
        ))}
      </div>
    </>
  );
}

function QueueCard({ queue, reload }: { readonly queue: Queue; readonly reload: () => void }) {
  const { name, counts, isPaused, concurrency, rateLimit, oldestWaitingMs, limitedMs, lost, workers } = queue;
  const isStuck = workers.length === 0 && counts.waiting > 0;
  return (
    <section class="card queue">
      <header>
        <h2>{name}</h2>
        {isPaused && <State state="paused" />}
      </header>
      <div class="numbers">
        {COUNTED.map((state) => (
          <Link
            key={state}
            to={withQuery('/jobs', { q: `state:${state} queue:${name}` })}
            class={counts[state] === 0 ? 'zero' : ''}
          >
            <b>{number(counts[state])}</b>
            <span>{state === 'waiting-children' ? 'in progress' : state}</span>
          </Link>
        ))}
      </div>
      <ul class="notes">
        {oldestWaitingMs !== null && (
          <li>The oldest waiting job has waited for {duration(oldestWaitingMs)}.</li>
        )}
        {isStuck && <li class="warning">✕ No worker serves this queue.</li>}
        {!isStuck && (
          <li class="dim">{workers.length === 0 ? 'No worker' : `Served by ${workers.join(', ')}`}</li>
        )}
        {concurrency !== null && (
          <li>
            At most {concurrency} jobs run at a time{counts.active >= concurrency && ', which is reached now'}
            .
          </li>
        )}
        {rateLimit !== null && (
          <li>
            At most {rateLimit.max} starts in {duration(rateLimit.durationMs)}
            {limitedMs !== null && `: used up for ${duration(limitedMs)}`}.
          </li>
        )}
        {lost !== null && (
          <li class="warning">
            ✕ {lost.jobs} jobs are held by missing workers: {lost.workers.join(', ')}.
          </li>
        )}
      </ul>
      <div class="actions">
        {isPaused ? (
          <Action action="queue.resume" label="Resume" body={{ id: name }} onDone={reload} />
        ) : (
          <Action action="queue.pause" label="Pause" body={{ id: name }} onDone={reload} />
        )}
        <LimitsButton queue={queue} onDone={reload} />
        <Action
          action="queue.purge"
          label="Purge"
          body={{ id: name }}
          confirm={`All ${number(counts.waiting + counts.delayed)} waiting and delayed jobs are removed permanently. Runs with steps in this queue are revoked.`}
          typed={name}
          isDangerous
          onDone={reload}
        />
      </div>
    </section>
  );
}
