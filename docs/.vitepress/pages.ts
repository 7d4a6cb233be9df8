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
    text: 'First steps',
    pages: [
      {
        text: 'Quickstart',
        page: 'first-steps',
        about: 'a task, a worker, a call, a chain and a test in ten minutes',
      },
      {
        text: 'From Celery',
        page: 'from-celery',
        about: 'Celery features and their equivalents, side by side',
      },
      { text: 'From BullMQ', page: 'from-bullmq', about: 'migrating a BullMQ program one queue at a time' },
      {
        text: 'Mistakes and their messages',
        page: 'mistakes',
        about: 'typical first mistakes, their exact messages, and the fixes',
      },
      { text: 'FAQ', page: 'faq', about: 'short answers, with links to the details' },
    ],
  },
  {
    text: 'Learning',
    pages: [
      {
        text: 'Tasks',
        page: 'tasks',
        about: 'reference for single tasks: calls, retries, timeouts, queues, results, errors',
      },
      {
        text: 'Schema libraries',
        page: 'schemas',
        about:
          'zod, valibot, arktype, effect, TypeBox, Joi and yup compared: defaults, other keys, JSON Schema, types',
      },
      {
        text: 'Workflows',
        page: 'canvas',
        about: 'reference for chain, group, chord, map, match, fallback and the rest, with diagrams',
      },
      {
        text: 'Signals and approvals',
        page: 'signals',
        about: 'workflows that wait for people and events: waitFor, keys, who wins, links in mails',
      },
      {
        text: 'Lifecycle',
        page: 'lifecycle',
        about: 'states and transitions of jobs, steps, runs, workers and schedules',
      },
      {
        text: 'Guarantees',
        page: 'guarantees',
        about: 'behaviour under failure, with a test for each case',
      },
      { text: 'Glossary', page: 'glossary', about: 'one word per thing, with its meaning' },
    ],
  },
  {
    text: 'Recipes',
    pages: [{ text: 'Recipes', page: 'recipes', about: 'twelve tested programs for common needs' }],
  },
  {
    text: 'Testing',
    pages: [
      {
        text: 'Testing',
        page: 'testing',
        about: 'the engine in memory and in virtual time, fakes, assertions, fault injection',
      },
    ],
  },
  {
    text: 'Operations',
    pages: [
      {
        text: 'Operations',
        page: 'operations',
        about: 'workers, schedules, inspection, control, metrics, troubleshooting',
      },
      {
        text: 'Dashboard',
        page: 'dashboard',
        about: 'the web page of an app: search, run graphs, actions, access control, mounts',
      },
      {
        text: 'Deployment',
        page: 'deployment',
        about: 'containers, Compose, Kubernetes, systemd, Redis settings',
      },
      {
        page: 'engines',
        text: 'Stores',
        about: 'Redis, PostgreSQL and memory: which to choose, migrations, rights, settings',
      },
      {
        text: 'Scaling',
        page: 'scaling',
        about: 'capacity of one Redis and one core, how costs grow, and sizing',
      },
      {
        text: 'Security',
        page: 'security',
        about: 'Redis ACL, TLS, encryption, secrets in logs, limits',
      },
    ],
  },
  {
    text: 'Upgrading',
    pages: [
      {
        text: 'Upgrading',
        page: 'upgrading',
        about: 'versions, stored form, rolling deployments, mixed versions',
      },
      { text: 'Changelog', page: 'generated/changelog', about: 'changes by version' },
    ],
  },
  {
    text: 'Reference',
    pages: [
      {
        text: 'Command line',
        page: 'cli',
        about: 'commands of `umbel`: configuration, output, exit codes, JSON',
      },
      { text: 'Commands and flags', page: 'generated/cli-commands', about: 'the help of every command' },
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
        text: 'Performance',
        page: 'performance',
        about: 'cost of a task compared with BullMQ and Celery, and optimisations that were tried',
      },
      {
        text: 'Reliability',
        page: 'reliability',
        about: 'failure windows in BullMQ and how they are closed, compared with Celery and BullMQ',
      },
      {
        text: 'Security policy',
        page: 'generated/security-policy',
        about: 'trust model and defences',
      },
      {
        text: 'Contributing',
        page: 'generated/contributing',
        about: 'how to build, test and change the project',
      },
    ],
  },
];
