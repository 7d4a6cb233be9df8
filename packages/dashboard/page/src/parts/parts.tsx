/** Small parts that several views use. */
import type { ComponentChildren } from 'preact';
import { ApiError } from '../api.js';
import { exact, relative, shortId } from '../format.js';
import { Link } from '../router.js';
import type { Reason, Value } from '../types.js';

/** States by shape and text, not by colour alone. */
const SHAPES: Readonly<Record<string, string>> = {
  completed: '✓',
  failed: '✕',
  active: '▶',
  waiting: '○',
  delayed: '◷',
  'waiting-children': '⋯',
  revoked: '⊘',
  expired: '⌛',
  skipped: '↷',
  pending: '·',
  online: '✓',
  missing: '✕',
  closing: '◷',
  paused: '‖',
  retrying: '↻',
  late: '⧗',
  stuck: '⚠',
};
const KNOWN = new Set(Object.keys(SHAPES));

export const shapeOf = (state: string): string => SHAPES[state] ?? '▶';
/** The class of a state; a custom state of a running handler looks like `active`. */
export const classOf = (state: string): string => `state-${KNOWN.has(state) ? state : 'active'}`;

export function State({ state, own }: { readonly state: string; readonly own?: string | undefined }) {
  return (
    <span class={`state ${classOf(state)}`}>
      <span aria-hidden="true">{shapeOf(state)}</span>
      {own ?? (state === 'waiting-children' ? 'in progress' : state)}
    </span>
  );
}

/** What is the matter with a job that has not ended. */
export function Conditions({ all = [] }: { readonly all?: readonly string[] | undefined }) {
  return (
    <>
      {all.map((condition) => (
        <State key={condition} state={condition} />
      ))}
    </>
  );
}

export function Time({ at }: { readonly at: string | undefined }) {
  if (at === undefined || Date.parse(at) <= 0) return <span class="dim">–</span>;
  return (
    <time dateTime={at} title={exact(at)}>
      {relative(at)}
    </time>
  );
}

export function Problem({ error }: { readonly error: Error | undefined }) {
  if (error === undefined) return null;
  const issues = error instanceof ApiError ? error.issues : [];
  return (
    <div class="problem" role="alert">
      <strong>{error.message.split('\n')[0]}</strong>
      {issues.map(({ path, message }) => (
        <div key={path}>
          <code>{path}</code> {message}
        </div>
      ))}
    </div>
  );
}

/** Why a job or a run is not shown: `what` names it. */
export function NotShown({ what, error }: { readonly what: string; readonly error: Error | undefined }) {
  if (error === undefined) return <Empty>Loading …</Empty>;
  if (!(error instanceof ApiError && error.status === 404)) return <Problem error={error} />;
  return (
    <Empty>The store holds no {what} with this id. What has ended is removed after its retention time.</Empty>
  );
}

export function Why({ reason }: { readonly reason: Reason | undefined }) {
  if (reason === undefined) return null;
  return (
    <p class="why">
      <span class="why-label">Why is it waiting?</span>{' '}
      {reason.text.replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+Z/g, (time) => `${exact(time)} (${relative(time)})`)}
      {reason.jobs?.map((id) => (
        <Link key={id} to={`/jobs/${encodeURIComponent(id)}`}>
          <code>{shortId(id)}</code>
        </Link>
      ))}
    </p>
  );
}

export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <div class="empty">{children}</div>;
}

export function Json({ value }: { readonly value: Value | undefined }) {
  if (value === undefined) return <span class="dim">none</span>;
  return (
    <>
      <pre class="json">{value.json}</pre>
      {value.isCut && <p class="dim">Only the beginning is shown.</p>}
      {value.isMasked && <p class="dim">Sensitive values are masked.</p>}
    </>
  );
}

export function Section({
  title,
  children,
  aside,
}: {
  readonly title: string;
  readonly aside?: ComponentChildren;
  readonly children: ComponentChildren;
}) {
  return (
    <section class="card">
      <header>
        <h2>{title}</h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

/** Names and values; entries without a value are left out. */
export function Facts({ entries }: { readonly entries: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {entries
        .filter(([, value]) => value !== undefined && value !== '' && value !== null)
        .map(([name, value]) => (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{value}</dd>
          </div>
        ))}
    </dl>
  );
}

export function Tags({ tags }: { readonly tags: readonly string[] }) {
  return (
    <>
      {tags.map((tag) => (
        <span class="tag" key={tag}>
          {tag}
        </span>
      ))}
    </>
  );
}

export function Title({
  title,
  children,
}: {
  readonly title: ComponentChildren;
  readonly children?: ComponentChildren;
}) {
  return (
    <div class="title">
      <h1>{title}</h1>
      <div class="actions">{children}</div>
    </div>
  );
}
