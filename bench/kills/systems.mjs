// The systems that are compared, how each is started, and how long each may take to come back.
import { spawnSync } from 'node:child_process';

const python = process.env.CELERY_PYTHON ?? '/usr/bin/python3';
/** Of Celery with late acknowledgement; far above the longest task, as its documentation asks for. */
const VISIBILITY_TIMEOUT_S = 30;
/** Celery's default, which the row with its defaults has. */
const DEFAULT_VISIBILITY_TIMEOUT_S = 3600;
/** Celery's workers look for messages to deliver again 10 s after their start, and every 100 s from then on. */
const CELERY_SWEEP_S = 100;
/** A lock of BullMQ and the time between two sweeps, which are the defaults of BullMQ and of Umbel. */
const LOCK_AND_SWEEP_S = 60;
const SLACK_S = 30;

const celery = (name, settings, more) => ({
  name,
  env: { SETTINGS: settings, VISIBILITY_TIMEOUT: `${VISIBILITY_TIMEOUT_S}`, PYTHONDONTWRITEBYTECODE: '1' },
  sender: { command: python, args: ['celery_chords.py'] },
  worker: (index, concurrency) => ({
    command: python,
    args: ['-m', 'celery', '-A', 'celery_chords', 'worker', '-c', `${concurrency}`, '-n', `w${index}@%h`],
  }),
  needs: needsCelery,
  tellsLeft: true,
  ...more,
});

const node = (name, program, settings) => ({
  name,
  env: { SETTINGS: settings },
  sender: { command: process.execPath, args: [program, 'sender'] },
  worker: () => ({ command: process.execPath, args: [program, 'worker'] }),
  needs: () => undefined,
  quietS: LOCK_AND_SWEEP_S + SLACK_S,
});

/**
 * `quietS`: when nothing has moved for so long, nothing will. `skipS`: a wait that is known to be needed then, and is
 * not waited for but skipped, by making the messages that wait so much older. `tellsLeft`: its sender can say what the
 * broker still holds at the end.
 */
const systems = {
  'celery-default': celery('Celery, defaults', 'default', {
    quietS: CELERY_SWEEP_S + SLACK_S,
    skipS: DEFAULT_VISIBILITY_TIMEOUT_S,
  }),
  'celery-late': celery('Celery, acks_late + reject_on_worker_lost', 'late', {
    quietS: VISIBILITY_TIMEOUT_S + CELERY_SWEEP_S + SLACK_S,
  }),
  'bullmq-default': node('BullMQ, defaults', 'bullmq.mjs', 'default'),
  'bullmq-documented': node('BullMQ, maxStalledCount 50 + failParentOnFailure', 'bullmq.mjs', 'documented'),
  umbel: node('Umbel, defaults', 'umbel.mjs', 'default'),
};

/** Says what is missing for Celery, if something is. */
function needsCelery() {
  const found = spawnSync(python, ['-c', 'import celery, redis']);
  return found.status === 0
    ? undefined
    : `${python} has no Celery. Install it (Debian: apt-get install python3-celery python3-redis), or name another Python in CELERY_PYTHON.`;
}

/** The systems that `only` names, all without it. Of one that cannot run here, `missing` says what to do. */
export function chosen(only, say) {
  const keys = only?.split(',') ?? Object.keys(systems);
  return keys.map((key) => {
    if (!(key in systems)) {
      throw new Error(`expected --only to name some of ${Object.keys(systems).join(', ')}, got "${key}"`);
    }
    const missing = systems[key].needs();
    if (missing !== undefined) say(`${systems[key].name}: skipped. ${missing}`);
    return { key, missing, ...systems[key] };
  });
}

/** Versions of what is compared, for the head of the table. */
export function versions(require) {
  const version = (name) => require(name).version;
  const script =
    'import sys, celery, kombu; print(sys.version.split()[0], celery.__version__, kombu.__version__)';
  const [pythonVersion, celeryVersion, kombu] = `${spawnSync(python, ['-c', script]).stdout}`
    .trim()
    .split(' ');
  return {
    node: process.versions.node,
    bullmq: version('bullmq/package.json'),
    ...(celeryVersion && { python: pythonVersion, celery: celeryVersion, kombu }),
  };
}
