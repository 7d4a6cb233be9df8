/** The page of the dashboard: its navigation, and the view of the address. */
import { render } from 'preact';
import { useEffect, useRef, useState } from 'preact/hooks';
import { read } from './api.js';
import { useLive } from './live.js';
import { AppContext } from './parts/action.js';
import { Empty, Problem } from './parts/parts.js';
import { Link, navigate, usePlace } from './router.js';
import './style.css';
import type { AppFacts } from './types.js';
import { Compare } from './views/compare.js';
import { DeadLetters } from './views/dead-letters.js';
import { History } from './views/history.js';
import { JobPage } from './views/job.js';
import { List } from './views/list.js';
import { Queues } from './views/queues.js';
import { RunPage } from './views/run.js';
import { Schedules } from './views/schedules.js';
import { Signals } from './views/signals.js';
import { Tasks } from './views/tasks.js';
import { Workers } from './views/workers.js';

const PAGES = [
  ['/runs', 'Runs', '⋔'],
  ['/jobs', 'Jobs', '≡'],
  ['/failed', 'Failed', '✕'],
  ['/history', 'History', '∿'],
  ['/queues', 'Queues', '▤'],
  ['/workers', 'Workers', '⚙'],
  ['/schedules', 'Schedules', '◷'],
  ['/signals', 'Signals', '⚑'],
  ['/tasks', 'Tasks', '▷'],
] as const;

function Page() {
  const { path } = usePlace();
  const { data: app, error } = useLive<AppFacts>('/app');
  const isFirst = useRef(true);
  useEffect(() => {
    if (path === '/') navigate('/runs', true);
  }, [path]);
  useEffect(() => {
    const [, section = ''] = path.split('/');
    document.title = `${section.charAt(0).toUpperCase()}${section.slice(1)} · ${app?.name ?? 'Umbel'}`;
  }, [path, app?.name]);
  useEffect(() => {
    if (isFirst.current) isFirst.current = false;
    // Readers of the screen begin at the new page, not at the link that led to it.
    else document.getElementById('main')?.focus({ preventScroll: true });
    // On phones the navigation scrolls.
    document.querySelector('.side [aria-current]')?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [path]);
  return (
    <AppContext.Provider value={app}>
      <button type="button" class="skip" onClick={() => document.getElementById('main')?.focus()}>
        Skip to the content
      </button>
      <header class="side">
        <div class="brand">
          <strong>{app?.name ?? 'Umbel'}</strong>
          <span class="dim">{app === undefined ? '' : app.store.address}</span>
        </div>
        <nav aria-label="Pages">
          {PAGES.map(([to, label, shape]) => (
            <Link key={to} to={to} current={path === to || path.startsWith(`${to}/`)}>
              <span class="nav-shape" aria-hidden="true">
                {shape}
              </span>
              {label}
            </Link>
          ))}
        </nav>
        <div class="who dim">
          {app !== undefined && (
            <span>
              {app.user}
              {app.readOnly && ', read-only'}
            </span>
          )}
          <Theme />
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        <Problem error={app === undefined ? error : undefined} />
        <View path={path} />
      </main>
    </AppContext.Provider>
  );
}

function View({ path }: { readonly path: string }) {
  const [, section, id = ''] = path.split('/').map(decodeURIComponent);
  switch (section) {
    case '':
      return null;
    case 'runs':
      return id === '' ? <List key="runs" kind="runs" /> : <RunPage key={id} id={id} />;
    case 'jobs':
      return id === '' ? <List key="jobs" kind="jobs" /> : <JobPage key={id} id={id} />;
    case 'compare':
      return <Compare />;
    case 'open':
      return <Open key={id} id={id} />;
    case 'failed':
      return <DeadLetters />;
    case 'history':
      return <History />;
    case 'queues':
      return <Queues />;
    case 'workers':
      return <Workers />;
    case 'schedules':
      return <Schedules />;
    case 'signals':
      return <Signals />;
    case 'tasks':
      return <Tasks />;
    default:
      return <Empty>There is no such page.</Empty>;
  }
}

/** Goes to the run or the job of an id. */
function Open({ id }: { readonly id: string }) {
  const [error, setError] = useState<Error>();
  useEffect(() => {
    const encoded = encodeURIComponent(id);
    read(`/runs/${encoded}`).then(
      () => navigate(`/runs/${encoded}`, true),
      () => read(`/jobs/${encoded}`).then(() => navigate(`/jobs/${encoded}`, true), setError),
    );
  }, [id]);
  return error === undefined ? <Empty>Loading …</Empty> : <Problem error={error} />;
}

const THEMES = ['system', 'light', 'dark'] as const;

function Theme() {
  const [theme, setTheme] = useState(() => localStorage.getItem('umbel-theme') ?? 'system');
  useEffect(() => {
    localStorage.setItem('umbel-theme', theme);
    document.documentElement.dataset.theme = theme;
  }, [theme]);
  return (
    <select aria-label="Colours" value={theme} onChange={(event) => setTheme(event.currentTarget.value)}>
      {THEMES.map((each) => (
        <option key={each} value={each}>
          {each}
        </option>
      ))}
    </select>
  );
}

const root = document.getElementById('page');
if (root !== null) render(<Page />, root);
