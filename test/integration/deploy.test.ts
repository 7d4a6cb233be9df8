/** The files of deploy/ say what the product does: paths, ports, variables, times, metrics, settings of Redis. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type AppWorker, createApp } from '@umbel/core';
import { prometheusMetrics } from '@umbel/core/prometheus';
import { memory } from '@umbel/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { startRedis } from '../support/redis-server.js';
import { filesOf, root } from '../support/snippets.js';

const folder = join(root, 'deploy');
const read = (file: string) => readFileSync(join(folder, file), 'utf8');
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' }).sort();

/** A value somewhere in plain data that was read from a file. */
// biome-ignore lint/suspicious/noExplicitAny: the shape of these files is what is tested
type Data = any;

function documents(file: string): Data[] {
  return parseAllDocuments(read(file), { strict: true, uniqueKeys: true }).map((document) => {
    expect([...document.errors, ...document.warnings]).toEqual([]);
    return document.toJS();
  });
}

const compose: Data = documents('compose.yaml')[0];
const [worker, budget]: Data[] = documents('kubernetes/worker.yaml');
const [web, service]: Data[] = documents('kubernetes/producer.yaml');
const [keda]: Data[] = documents('kubernetes/keda.yaml');
const [hpa]: Data[] = documents('kubernetes/hpa.yaml');
const container = (deployment: Data): Data => deployment.spec.template.spec.containers[0];
const portOf = (deployment: Data, probe: Data): unknown =>
  container(deployment).ports.find(({ name }: Data) => name === probe.httpGet.port)?.containerPort;

/** Of a unit: what is set, by its name. */
const unit = new Map(
  [...read('systemd/shop-worker.service').matchAll(/^(\w+)=(.*)$/gm)].map(([, key = '', value = '']) => [
    key,
    value,
  ]),
);

/** Of a Dockerfile: instructions in order. */
const instructions = [...read('Dockerfile').matchAll(/^([A-Z]+) (.*)$/gm)].map(
  ([, name = '', rest = '']) => ({
    name,
    rest,
  }),
);

/** The programs of the page that the files start. */
const programs = filesOf('docs/deployment.md');

test('every file of deploy/ is looked at here, and named on the page', () => {
  expect(files.filter((file) => /\./.test(file) || file === 'Dockerfile')).toEqual([
    '.dockerignore',
    'Dockerfile',
    'compose.yaml',
    'kubernetes/hpa.yaml',
    'kubernetes/keda.yaml',
    'kubernetes/producer.yaml',
    'kubernetes/worker.yaml',
    'redis.conf',
    'systemd/shop-worker.service',
  ]);
});

describe('a worker as the page starts it', () => {
  const app = createApp({ name: 'shop', connection: memory() });
  app.task({ name: 'order.charge', run: async () => null });
  const metrics = prometheusMetrics(app);
  let running: AppWorker;
  const get = (path: string) => fetch(`http://127.0.0.1:${running.healthPort}${path}`);

  beforeAll(async () => {
    running = await app.worker({ health: { port: 0, host: '127.0.0.1', metrics } }).start();
  });
  afterAll(async () => {
    metrics.stop();
    await app.close();
  });

  test('answers the probes of Kubernetes and Compose, and whoever collects its metrics', async () => {
    const { livenessProbe, readinessProbe } = container(worker);
    const annotations = worker.spec.template.metadata.annotations;
    const check = /http:\/\/127\.0\.0\.1:(\d+)(\/\w+)/.exec(compose.services.worker.healthcheck.test.at(-1));
    const paths = [
      livenessProbe.httpGet.path,
      readinessProbe.httpGet.path,
      check?.[2],
      annotations['prometheus.io/path'],
    ];
    expect(paths).toEqual(['/livez', '/readyz', '/livez', '/metrics']);
    for (const path of paths) expect((await get(path)).status).toBe(200);
    expect((await get('/no-such-path')).status).toBe(404);
  });

  test('has the metrics, with the labels, that the autoscalers ask for', async () => {
    const text = await metrics.text();
    const queries = keda.spec.triggers.map(({ metadata }: Data) => metadata.query as string);
    expect(queries).toHaveLength(2);
    const { name, selector } = hpa.spec.metrics[0].external.metric;
    const labels = Object.entries(selector.matchLabels).map(([key, value]) => `${key}="${value}"`);
    const wanted = [
      ...queries.map((query: string) => /umbel_\w+\{[^}]*\}/.exec(query)?.[0]),
      `${name}{${labels}}`,
    ];
    for (const series of wanted) {
      const [, metric, inside = ''] = /^(\w+)\{(.*)\}$/.exec(series ?? '') ?? [];
      expect(text).toContain(`# TYPE ${metric} gauge`);
      if (metric !== 'umbel_queue_jobs') continue; // the age is there once a job waits
      const line = text
        .split('\n')
        .find(
          (one) => one.startsWith(`${metric}{`) && inside.split(',').every((label) => one.includes(label)),
        );
      expect(line, series).toBeDefined();
    }
  });
});

test('ports agree', () => {
  const port = container(worker).env.find(({ name }: Data) => name === 'HEALTH_PORT').value;
  const annotations = worker.spec.template.metadata.annotations;
  const { livenessProbe, readinessProbe } = container(worker);
  const check = /:(\d+)\//.exec(compose.services.worker.healthcheck.test.at(-1))?.[1];
  const said = [
    compose.services.worker.environment.HEALTH_PORT,
    annotations['prometheus.io/port'],
    `${portOf(worker, livenessProbe)}`,
    `${portOf(worker, readinessProbe)}`,
    check,
    instructions.find(({ name }) => name === 'EXPOSE')?.rest,
    /HEALTH_PORT=(\d+)/.exec(unit.get('Environment') ?? '')?.[1],
    /HEALTH_PORT \?\? (\d+)/.exec(programs.get('worker.ts') ?? '')?.[1],
  ];
  expect(said).toEqual(said.map(() => port));
  const webPort = container(web).env.find(({ name }: Data) => name === 'PORT').value;
  expect(webPort).toBe(/PORT \?\? (\d+)/.exec(programs.get('web.ts') ?? '')?.[1]);
  expect(webPort).toBe(compose.services.web.environment.PORT);
  expect(portOf(web, container(web).livenessProbe)).toBe(Number(webPort));
  expect(service.spec.ports[0].targetPort).toBe(container(web).ports[0].name);
  expect(programs.get('web.ts')).toContain(`'${container(web).livenessProbe.httpGet.path}'`);
});

test('environment variables are those that the programs read', () => {
  const read = [...programs.values()].join('').matchAll(/process\.env\.(\w+)/g);
  const known = new Set([...read].map(([, name]) => name));
  const given = [
    ...Object.keys(compose.services.worker.environment),
    ...Object.keys(compose.services.web.environment),
    ...[worker, web].flatMap((deployment) => container(deployment).env.map(({ name }: Data) => name)),
    ...(unit.get('Environment') ?? '').split(' ').map((pair) => pair.split('=')[0]),
  ];
  expect(given.length).toBeGreaterThan(8);
  expect(given.filter((name) => !known.has(name) && name !== 'NODE_ENV')).toEqual([]);
});

test('programs that are started are those of the page', () => {
  const started = [
    compose.services.worker.command.join(' '),
    compose.services.web.command.join(' '),
    container(worker).command.join(' '),
    container(web).command.join(' '),
    JSON.parse(instructions.at(-1)?.rest ?? '[]').join(' '),
    (unit.get('ExecStart') ?? '').replace('/usr/bin/', '').replace('/opt/shop/', ''),
  ];
  for (const line of started) {
    const [, name] = /^node dist\/(\w+)\.js$/.exec(line) ?? [];
    expect([...programs.keys()]).toContain(`${name}.ts`);
  }
});

test('whoever stops a worker waits for longer than it waits for its jobs', () => {
  const [, seconds] = /shutdownTimeout: '(\d+)s'/.exec(programs.get('worker.ts') ?? '') ?? [];
  const waits = [
    worker.spec.template.spec.terminationGracePeriodSeconds,
    Number.parseInt(compose.services.worker.stop_grace_period, 10),
    Number(unit.get('TimeoutStopSec')),
  ];
  for (const wait of waits) expect(wait).toBeGreaterThanOrEqual(Number(seconds) + 10);
  expect(unit.get('KillMode')).toBe('mixed');
  expect(unit.get('Restart')).toBe('always');
});

test('what belongs together in Kubernetes has the same names', () => {
  for (const deployment of [worker, web])
    expect(deployment.spec.template.metadata.labels).toEqual(deployment.spec.selector.matchLabels);
  expect(budget.spec.selector).toEqual(worker.spec.selector);
  expect(service.spec.selector).toEqual(web.spec.selector.matchLabels);
  expect(keda.spec.scaleTargetRef.name).toBe(worker.metadata.name);
  expect(hpa.spec.scaleTargetRef).toEqual({
    apiVersion: worker.apiVersion,
    kind: worker.kind,
    name: worker.metadata.name,
  });
  expect(container(worker).image).toBe(container(web).image);
  expect(worker.spec.replicas).toBeUndefined(); // the autoscaler's
  expect(container(web).lifecycle.preStop.exec.command).toEqual(['sleep', '5']);
});

test('nothing runs as root', () => {
  expect(instructions.filter(({ name }) => name === 'FROM')).toHaveLength(2);
  const user = instructions.findLast(({ name }) => name === 'USER')?.rest;
  for (const { spec } of [worker, web]) {
    const { runAsUser, runAsNonRoot } = spec.template.spec.securityContext;
    expect(runAsNonRoot).toBe(true);
    expect(user).toBe(`${runAsUser}:${runAsUser}`);
  }
  expect(unit.get('User')).not.toBe('root');
});

describe('a Redis with deploy/redis.conf', () => {
  test('is one that workers take without a word', async () => {
    const server = await startRedis('redis-server', { more: settings(read('redis.conf')) });
    const told: string[] = [];
    const tell = (message: string) => told.push(message);
    const app = createApp({
      name: 'shop',
      connection: server.url,
      logger: { info() {}, warn: tell, error: tell },
    });
    const task = app.task({ name: 'task', run: async () => 'done' });
    try {
      await app.worker({ handleSignals: false }).start();
      expect(await (await task.delay()).get({ timeout: '50s' })).toBe('done');
      expect(told).toEqual([]);
      expect((await app.diagnose()).store).toMatchObject({
        evictionPolicy: 'noeviction',
        hasAppendOnlyFile: true,
      });
    } finally {
      await app.close();
      await server.stop();
    }
  });

  test('is the one of Compose', () => {
    const { command, volumes } = compose.services.redis;
    expect(volumes).toContain(`./redis.conf:${command[1]}:ro`);
    expect(compose.services.redis.ports).toBeUndefined();
  });
});

/** The lines of a file of settings, as arguments of the program, which win over those before them. */
function settings(text: string): string[] {
  return [...text.matchAll(/^([a-z-]+) (.*)$/gm)].flatMap(([, name, value = '']) => [
    `--${name}`,
    ...value.split(' '),
  ]);
}
