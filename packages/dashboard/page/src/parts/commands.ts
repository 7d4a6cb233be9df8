/** What a view shows, as a command of the command line and as code with the app. */

export interface Commands {
  readonly cli: string;
  readonly code: string;
}

/** Returns a text as one argument of a shell. */
export function quoted(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

/** Returns the command and the code for a method with a filter. */
function filtered(command: string, method: string, filter: Readonly<Record<string, string | undefined>>) {
  const entries = Object.entries(filter).filter(([, value]) => value !== undefined && value !== '');
  const flags = entries.map(([name, value]) => ` --${name} ${quoted(value ?? '')}`);
  const query = entries.map(([name, value]) => `${name}: ${JSON.stringify(value)}`);
  return {
    cli: `umbel ${command}${flags.join('')}`,
    code: `await app.${method}(${query.length === 0 ? '' : `{ ${query.join(', ')} }`})`,
  };
}

/** What the command line can search for: one value for each of these words. Words after `state:` are states of the store. */
const LISTED = ['state', 'task', 'queue', 'tag', 'run'] as const;
const STATES = new Set(
  'waiting delayed active waiting-children completed failed revoked expired skipped'.split(' '),
);

/** Returns a search as far as the command line has it: without patterns, exclusions and texts, which only the page compares. */
export function listCommands(kind: 'jobs' | 'runs', q: string): Commands {
  const words = new Map<string, string>();
  for (const [, key = '', text, plain] of q.matchAll(/(?<=^|\s)([a-z]+):(?:"([^"]*)"|(\S+))/g))
    words.set(key, text ?? plain ?? '');
  const filter: Record<string, string | undefined> = {};
  for (const key of LISTED) {
    const value = words.get(key);
    const isKnown = value !== undefined && !value.includes('*') && (key !== 'state' || STATES.has(value));
    if (isKnown && (kind === 'jobs' || ['state', 'tag', 'task'].includes(key))) filter[key] = value;
  }
  return filtered(`${kind} list`, `${kind}.list`, filter);
}

export const jobCommands = (id: string): Commands => ({
  cli: `umbel jobs show ${quoted(id)}`,
  code: `await app.jobs.get(${JSON.stringify(id)})`,
});

export const runCommands = (id: string): Commands => ({
  cli: `umbel runs show ${quoted(id)}`,
  code: `await app.runs.get(${JSON.stringify(id)})`,
});

export const deadLetterCommands = (filter: Readonly<Record<string, string>>): Commands =>
  filtered('dead list', 'deadLetters.list', filter);

export const QUEUE_COMMANDS: Commands = { cli: 'umbel inspect queues', code: 'await app.inspect.queues()' };
export const WORKER_COMMANDS: Commands = {
  cli: 'umbel inspect workers',
  code: 'await app.inspect.workers()',
};
export const SCHEDULE_COMMANDS: Commands = { cli: 'umbel schedule list', code: 'await app.schedules.list()' };
export const SIGNAL_COMMANDS: Commands = { cli: 'umbel signal list', code: 'await app.signals.waiting()' };
export const TASK_COMMANDS: Commands = {
  cli: 'umbel inspect registered',
  code: 'await app.inspect.registered()',
};

/** Returns the call of a task with an input. */
export function callCommands(task: string, input: unknown): Commands {
  const json = JSON.stringify(input);
  return {
    cli: `umbel call ${quoted(task)}${json === undefined ? '' : ` --input ${quoted(json)}`}`,
    code: `await app.send(${JSON.stringify(task)}${json === undefined ? '' : `, ${json}`})`,
  };
}
