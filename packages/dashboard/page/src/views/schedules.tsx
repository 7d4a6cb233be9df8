/** Schedules: the next occurrences, the last runs, pause and run. */
import { duration, exact, relative } from '../format.js';
import { useLive } from '../live.js';
import { Action } from '../parts/action.js';
import { SCHEDULE_COMMANDS } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { classOf, Empty, Problem, Section, State, shapeOf, Time, Title } from '../parts/parts.js';
import { Link, navigate } from '../router.js';
import type { Schedule } from '../types.js';

export function Schedules() {
  const { data, error, reload } = useLive<{ schedules: readonly Schedule[] }>('/schedules');
  return (
    <>
      <Title title="Schedules">
        <CopyCommands commands={SCHEDULE_COMMANDS} />
      </Title>
      <Problem error={error} />
      {data?.schedules.length === 0 && <Empty>The app has no schedules.</Empty>}
      {data?.schedules.map((schedule) => (
        <ScheduleCard key={schedule.name} schedule={schedule} reload={reload} />
      ))}
    </>
  );
}

function ScheduleCard({ schedule, reload }: { readonly schedule: Schedule; readonly reload: () => void }) {
  const { name, state, target, next, runs, lateMs, isDrifted, isDeclared } = schedule;
  const id = { id: name };
  const isStored = state !== 'unstored' && state !== 'broken';
  return (
    <Section title={name} aside={<State state={state === 'active' ? 'online' : state} own={state} />}>
      <p class="notes">
        {target ?? 'unknown target'} · {timingText(schedule)}
        {lateMs > 1000 && <span class="warning"> · ✕ {duration(lateMs)} late</span>}
        {isDrifted && isDeclared && (
          <span class="warning"> · ✕ The code declares it differently: run umbel schedule sync.</span>
        )}
      </p>
      {next.length > 0 && (
        <p class="notes">
          Next:{' '}
          {next.map((at, index) => (
            <span key={at} title={exact(at)}>
              {index > 0 && ', '}
              {index === 0 ? <b>{relative(at)}</b> : relative(at)}
            </span>
          ))}
        </p>
      )}
      {runs.length > 0 && (
        <ol class="strip" aria-label="Last runs, latest first">
          {runs.map((run) => {
            const shown = run.outcome === 'fired' ? (run.state ?? 'completed') : run.outcome;
            const text = `${shapeOf(shown)} ${shown === 'waiting-children' ? 'in progress' : shown}`;
            return (
              <li key={`${run.at}-${run.slot}`} class={`state ${classOf(shown)}`} title={exact(run.at)}>
                {run.id === undefined || shown === 'unknown' ? (
                  text
                ) : (
                  <Link to={`/open/${encodeURIComponent(run.id)}`}>{text}</Link>
                )}{' '}
                <Time at={run.at} />
              </li>
            );
          })}
        </ol>
      )}
      {isStored && (
        <div class="actions">
          <Action
            action="schedule.run"
            label="Run now"
            body={id}
            onDone={(answer) => navigate(`/open/${encodeURIComponent(String(answer.id))}`)}
          />
          {state === 'paused' ? (
            <Action action="schedule.resume" label="Resume" body={id} onDone={reload} />
          ) : (
            <Action action="schedule.pause" label="Pause" body={id} onDone={reload} />
          )}
        </div>
      )}
    </Section>
  );
}

function timingText({ timing }: Schedule): string {
  if (timing === undefined) return 'unknown times';
  const { cron, everyMs, tz } = timing as { cron?: string; everyMs?: number; tz?: string };
  return cron === undefined
    ? `every ${duration(everyMs ?? 0)}`
    : `${cron}${tz === undefined ? '' : ` (${tz})`}`;
}
