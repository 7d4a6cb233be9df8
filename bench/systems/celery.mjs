// Celery, which Debian has as python3-celery and python3-redis. CELERY_PYTHON names another Python.
import { spawnSync } from 'node:child_process';

const python = process.env.CELERY_PYTHON ?? '/usr/bin/python3';

/** Its versions, or undefined where it is not installed. */
export function celeryVersions() {
  const script =
    'import sys, celery, kombu, redis; print(sys.version.split()[0], celery.__version__, kombu.__version__, redis.__version__)';
  const { status, stdout } = spawnSync(python, ['-c', script], { encoding: 'utf8' });
  if (status !== 0) return undefined;
  const [pythonVersion, celery, kombu, redisPy] = stdout.trim().split(' ');
  return { python: pythonVersion, celery, kombu, 'redis-py': redisPy };
}

export const HOW_TO_INSTALL = 'apt-get install python3-celery python3-redis, or run with --with-celery';

/** Installs it with Debian's package manager. @throws if that fails. */
export function installCelery() {
  for (const args of [['update'], ['install', '-y', 'python3-celery', 'python3-redis']]) {
    const { status, error } = spawnSync('apt-get', args, { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error(`apt-get ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`);
  }
}

export function celeryProgram(url) {
  return {
    command: python,
    args: ['systems/celery_bench.py'],
    env: { REDIS: url, PYTHONDONTWRITEBYTECODE: '1' },
  };
}
