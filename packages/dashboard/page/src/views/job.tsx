/** One job: also the side panel of a run. */
import { now } from '../api.js';
import { duration, exact } from '../format.js';
import { useLive } from '../live.js';
import { Action } from '../parts/action.js';
import { jobCommands } from '../parts/commands.js';
import { CopyCommands } from '../parts/copy.js';
import { timesOf } from '../parts/job-times.js';
import { actionsOnJob, isRetried } from '../parts/offers.js';
import {
  Conditions,
  Facts,
  Json,
  NotShown,
  Problem,
  Section,
  State,
  Tags,
  Time,
  Title,
  Why,
} from '../parts/parts.js';
import { traceOf } from '../parts/trace.js';
import { Link, navigate } from '../router.js';
import type { JobDetails } from '../types.js';

const MAX_ATTEMPTS = 20;

export function JobPage({ id }: { readonly id: string }) {
  return <JobView id={id} isPanel={false} />;
}

interface JobViewProps {
  readonly id: string;
  readonly isPanel: boolean;
  /** The run of the step, if it can be resumed. */
  readonly resumedRun?: string | undefined;
}

export function JobView({ id, isPanel, resumedRun }: JobViewProps) {
  const { data: job, error, reload } = useLive<JobDetails>(`/jobs/${encodeURIComponent(id)}`);
  if (job === undefined) return <NotShown what="job" error={error} />;
  return (
    <>
      {isPanel ? <h2 class="panel-title">{job.displayName}</h2> : <Title title={job.displayName} />}
      <div class="actions">
        <State state={job.state} own={job.ownState} />
        <Conditions all={job.conditions} />
        <Actions job={job} reload={reload} />
        {resumedRun !== undefined && isRetried(job.state) && (
          <Action action="run.resume" label="Resume the run" body={{ id: resumedRun }} onDone={reload} />
        )}
      </div>
      <Problem error={error} />
      <Why reason={job.waitReason} />
      <Section title="Job" aside={<CopyCommands commands={jobCommands(job.id)} />}>
        <Facts
          entries={[
            ['Id', <code key="id">{job.id}</code>],
            ['Task', job.task],
            ['Queue', job.queue],
            [
              'Run',
              job.runId !== undefined && !isPanel ? (
                <Link to={`/runs/${encodeURIComponent(job.runId)}`}>{job.runId}</Link>
              ) : undefined,
            ],
            ['Attempts', job.attempt === undefined ? `${job.attempts}` : `attempt ${job.attempt} runs`],
            ['Worker', job.worker],
            ['Sent', <Time key="sent" at={job.enqueuedAt} />],
            ...timesOf(job, now()).map(([name, ms]) => [name, duration(ms)] as const),
            ['Ended', job.finishedAt && <Time key="ended" at={job.finishedAt} />],
            ['Expires', exact(job.expiresAt)],
            ['Trace', traceOf(job.headers)],
            ['Tags', job.tags.length > 0 ? <Tags key="tags" tags={job.tags} /> : undefined],
            ...Object.entries(job.headers).map(([name, value]) => [`Header ${name}`, value] as const),
            ['Problem', job.problem ?? job.inputProblem],
          ]}
        />
      </Section>
      {job.error !== undefined && (
        <Section title="Error">
          <ErrorChain error={job.error} />
        </Section>
      )}
      {job.error === undefined && job.state === 'failed' && job.reason !== undefined && (
        <Section title="Error">
          <pre class="json">{job.reason}</pre>
        </Section>
      )}
      <Section title="Input">
        <Json value={job.input} />
      </Section>
      {job.output !== undefined && (
        <Section title="Result">
          <Json value={job.output} />
        </Section>
      )}
      {job.progress !== undefined && (
        <Section title="Progress">
          <Json value={job.progress} />
        </Section>
      )}
      {job.errors.length > 0 && (
        <Section title={`Failed attempts (${job.errors.length})`}>
          {job.errors.slice(-MAX_ATTEMPTS).map((stack, index) => (
            <details key={`${index}-${stack.length}`}>
              <summary>{stack.split('\n')[0]}</summary>
              <pre class="json">{stack}</pre>
            </details>
          ))}
        </Section>
      )}
      {job.logs.lines.length > 0 && (
        <Section title="Log">
          {job.logs.left > 0 && <p class="dim">{job.logs.left} earlier lines are not shown.</p>}
          <pre class="json">{job.logs.lines.join('\n')}</pre>
        </Section>
      )}
    </>
  );
}

function Actions({ job, reload }: { readonly job: JobDetails; readonly reload: () => void }) {
  const { id, state } = job;
  const offered = actionsOnJob(job);
  const edited = job.input?.isCut === false && !job.input.isMasked ? job.input.json : undefined;
  return (
    <>
      {offered.includes('job.replay') && (
        <>
          <Action action="job.replay" label="Retry" body={{ id }} onDone={reload} />
          <Action
            action="job.replay"
            label="Replay with edited input"
            body={{ id }}
            edit={{
              field: 'input',
              json: edited ?? '',
              label: edited === undefined ? 'The whole input, as JSON' : 'Input, as JSON',
            }}
            confirm={
              edited === undefined
                ? 'The job runs again under the same id, with all its attempts. The page does not have the whole input: it is masked or too long. Type all of it, or leave the field empty to keep it.'
                : 'The job runs again under the same id, with all its attempts.'
            }
            onDone={reload}
          />
        </>
      )}
      {offered.includes('job.promote') && (
        <Action action="job.promote" label="Run now" body={{ id }} onDone={reload} />
      )}
      {offered.includes('job.revoke') && (
        <Action
          action="job.revoke"
          label={state === 'active' ? 'Terminate' : 'Revoke'}
          body={{ id, terminate: state === 'active' }}
          confirm={
            state === 'active'
              ? 'The running attempt is aborted and its result ignored.'
              : 'The job will never start.'
          }
          isDangerous
          onDone={reload}
        />
      )}
      {offered.includes('job.drop') && (
        <Action
          action="job.drop"
          label="Drop"
          body={{ id }}
          confirm="The job and its result are removed from the store."
          isDangerous
          onDone={() => navigate('/jobs')}
        />
      )}
    </>
  );
}

interface ChainedError {
  readonly name: string;
  readonly message: string;
  readonly code?: string | number | undefined;
  readonly stack?: string | undefined;
  readonly cause?: unknown;
}

const MAX_CAUSES = 10;

function ErrorChain({ error }: { readonly error: ChainedError }) {
  const chain: ChainedError[] = [];
  for (let next: unknown = error; isError(next) && chain.length < MAX_CAUSES; next = next.cause)
    chain.push(next);
  return (
    <>
      {chain.map(({ name, message, code, stack }, index) => (
        <div class="error" key={`${index}-${name}`}>
          {index > 0 && <div class="dim">caused by</div>}
          <strong>{name}</strong> {code !== undefined && <code>{code}</code>}
          <pre class="json">{message}</pre>
          {stack !== undefined && (
            <details>
              <summary>Stack</summary>
              <pre class="json">{stack}</pre>
            </details>
          )}
        </div>
      ))}
    </>
  );
}

function isError(value: unknown): value is ChainedError {
  return typeof value === 'object' && value !== null && 'message' in value;
}
