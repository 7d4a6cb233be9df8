/** Celery's task messages (protocol 2, JSON), in the form in which its Redis transport keeps them in lists. */
import { randomUUID } from 'node:crypto';
import { z } from 'zod';

/** A call of a Celery task. */
export interface CeleryCall {
  /** The task id, a UUID by convention. The result is stored under it. */
  readonly id: string;
  /** The registered name of the task, such as `billing.total`. */
  readonly task: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly eta?: Date;
  readonly expires?: Date;
  /** 0 runs first, 9 last: Redis has Celery's opposite order of other brokers. Default: 0. */
  readonly priority?: number;
  /** The sender does not ask for the result. Default: false. */
  readonly ignoreResult?: boolean;
}

/** A message that is no call of a task, or asks for what only a Celery worker does. */
export class CeleryMessageError extends Error {
  override readonly name = 'CeleryMessageError';

  /** @param id The id of the call, if the message has one: its sender may wait for a result. */
  constructor(
    message: string,
    readonly id?: string,
  ) {
    super(message);
  }
}

/** Returns the message of a call to the workers of `queue`. */
export function encodeCall({ args, kwargs, ...call }: CeleryCall, queue: string): string {
  const body = [args, kwargs, { callbacks: null, errbacks: null, chain: null, chord: null }];
  return JSON.stringify({
    body: Buffer.from(JSON.stringify(body)).toString('base64'),
    'content-type': 'application/json',
    'content-encoding': 'utf-8',
    headers: {
      lang: 'js',
      task: call.task,
      id: call.id,
      root_id: call.id,
      eta: call.eta?.toISOString() ?? null,
      expires: call.expires?.toISOString() ?? null,
      retries: 0,
      timelimit: [null, null],
      argsrepr: JSON.stringify(args), // what Flower and the worker's log show
      kwargsrepr: JSON.stringify(kwargs),
      origin: 'umbel',
      ignore_result: call.ignoreResult ?? false,
    },
    properties: {
      correlation_id: call.id,
      delivery_mode: 2,
      delivery_info: { exchange: '', routing_key: queue },
      delivery_tag: randomUUID(), // the worker notes under it what it has taken and not yet acknowledged
      body_encoding: 'base64',
      priority: call.priority ?? 0,
    },
  });
}

const message = z.object({
  body: z.base64(),
  'content-type': z.literal('application/json'),
  headers: z.object({
    id: z.string(),
    task: z.string(),
    eta: z.string().nullish(),
    expires: z.string().nullish(),
    group: z.string().nullish(),
    ignore_result: z.boolean().default(false),
  }),
  properties: z.object({ priority: z.int().nullish() }),
});

const body = z.tuple([
  z.array(z.unknown()),
  z.record(z.string(), z.unknown()),
  z.object({
    callbacks: z.array(z.unknown()).nullish(),
    errbacks: z.array(z.unknown()).nullish(),
    chain: z.array(z.unknown()).nullish(),
    chord: z.unknown(),
  }),
]);

/**
 * Returns the call of a message.
 *
 * @throws {CeleryMessageError} for another protocol or serializer, and for what a worker of Celery does after a task:
 *   sending callbacks and the next step of a chain, counting the members of a chord.
 */
export function decodeCall(text: string): CeleryCall {
  const envelope = message.safeParse(parseJson(text));
  if (!envelope.success)
    throw new CeleryMessageError(
      `not a JSON message of protocol 2: ${z.prettifyError(envelope.error)}`,
      idOf(text),
    );
  const { headers, properties } = envelope.data;
  const content = body.safeParse(parseJson(Buffer.from(envelope.data.body, 'base64').toString()));
  if (!content.success)
    throw new CeleryMessageError(`the body is not valid: ${z.prettifyError(content.error)}`, headers.id);
  const [args, kwargs, embed] = content.data;
  const unsupported = [
    embed.callbacks?.length && 'link',
    embed.errbacks?.length && 'link_error',
    embed.chain?.length && 'a next step of a chain',
    embed.chord != null && 'membership in a chord',
  ].filter(Boolean);
  if (unsupported.length > 0)
    throw new CeleryMessageError(`only a Celery worker can do this: ${unsupported.join(', ')}`, headers.id);
  return {
    id: headers.id,
    task: headers.task,
    args,
    kwargs,
    ...(headers.eta && { eta: parseTime(headers.eta) }),
    ...(headers.expires && { expires: parseTime(headers.expires) }),
    priority: properties.priority ?? 0,
    ignoreResult: headers.ignore_result,
  };
}

/** Reads a time as Celery's workers do: one without an offset is in UTC. (JavaScript would take it as local.) */
function parseTime(text: string): Date {
  return new Date(/(Z|[+-]\d\d:?\d\d)$/.test(text) ? text : `${text}Z`);
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Returns the id of a call whose message is otherwise not understood. All protocols have it here. */
function idOf(text: string): string | undefined {
  const found = z.object({ properties: z.object({ correlation_id: z.string() }) }).safeParse(parseJson(text));
  return found.data?.properties.correlation_id;
}
