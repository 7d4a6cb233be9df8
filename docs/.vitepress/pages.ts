/** The pages of the site, by the reader's stage. The sidebar, `llms.txt` and the tests go by this list. */

interface Page {
  readonly text: string;
  /** The file below `docs/`, without `.md`; those in `generated/` are made when the site is built. */
  readonly page: string;
  /** What is on it, in a line. */
  readonly about: string;
}

export interface Stage {
  readonly text: string;
  readonly pages: readonly Page[];
}

export const stages: readonly Stage[] = [
  {
    text: 'Coming from elsewhere',
    pages: [
      {
        text: 'From Celery',
        page: 'from-celery',
        about: 'each thing of Celery and what it is here, side by side',
      },
    ],
  },
  {
    text: 'Learning',
    pages: [
      {
        text: 'Tasks',
        page: 'tasks',
        about: 'all that a single task can do: calls, retries, limits, queues, results, errors',
      },
      {
        text: 'Compositions',
        page: 'canvas',
        about: 'chain, group, chord, map, match, fallback and the rest, with diagrams',
      },
      {
        text: 'Guarantees',
        page: 'guarantees',
        about: 'what is promised when things break, with the test for each',
      },
    ],
  },
  {
    text: 'Testing',
    pages: [
      {
        text: 'Testing',
        page: 'testing',
        about: 'the engine in memory and in virtual time, fakes, claims, faults',
      },
    ],
  },
  {
    text: 'Operations',
    pages: [
      {
        text: 'Operations',
        page: 'operations',
        about: 'workers, schedules, looking, acting, metrics, what to do at night',
      },
      {
        text: 'Security',
        page: 'security',
        about: 'a Redis user of its own, TLS, encryption, secrets in logs, limits',
      },
    ],
  },
  {
    text: 'Upgrading',
    pages: [{ text: 'Changelog', page: 'generated/changelog', about: 'what has changed' }],
  },
  {
    text: 'Reference',
    pages: [
      { text: 'Command line', page: 'cli', about: 'every command of `umbel` and its options' },
      { text: '@umbel/core', page: 'generated/api-core', about: 'every export, from the docstrings' },
      { text: '@umbel/canvas', page: 'generated/api-canvas', about: 'every export, from the docstrings' },
      { text: '@umbel/testing', page: 'generated/api-testing', about: 'every export, from the docstrings' },
      {
        text: '@umbel/core/prometheus',
        page: 'generated/api-core-prometheus',
        about: 'every export, from the docstrings',
      },
      {
        text: '@umbel/core/opentelemetry',
        page: 'generated/api-core-opentelemetry',
        about: 'every export, from the docstrings',
      },
    ],
  },
  {
    text: 'Inside',
    pages: [
      { text: 'Architecture', page: 'architecture', about: 'packages, the way of a call, the stored form' },
      {
        text: 'Reliability',
        page: 'reliability',
        about: 'what BullMQ leaves open, what closes it, measured beside Celery and BullMQ',
      },
      {
        text: 'Security policy',
        page: 'generated/security-policy',
        about: 'what is trusted, what is defended against',
      },
      { text: 'Contributing', page: 'generated/contributing', about: 'how to build, test and change it' },
    ],
  },
];
