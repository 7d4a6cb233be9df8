/** What spans tell beside their names; never inputs and results. */
import type { Attributes } from '@opentelemetry/api';
import type { TaskContext } from '../running/context.js';
import type { OutgoingCall } from '../tasks/middleware.js';

/** Names from OpenTelemetry's semantic conventions for messaging (1.45, still in development), and Umbel's own. */
export const ATTRIBUTE = {
  system: 'messaging.system.name',
  operation: 'messaging.operation.name',
  operationType: 'messaging.operation.type',
  /** The queue. */
  destination: 'messaging.destination.name',
  /** The job. */
  messageId: 'messaging.message.id',
  /** The run. */
  conversationId: 'messaging.message.conversation_id',
  errorType: 'error.type',
  task: 'umbel.task',
  attempt: 'umbel.attempt',
  /** How many steps gave the attempt its values; of more than 128 only the first are linked. */
  links: 'umbel.links',
} as const;

export function sendAttributes({ task }: Pick<OutgoingCall, 'task'>): Attributes {
  return { ...operation('send'), ...(task !== undefined && { [ATTRIBUTE.task]: task }) };
}

/** What was sent: a call has the id of a job, a composition that of a run. */
export function sentAttributes({ task }: Pick<OutgoingCall, 'task'>, id: string): Attributes {
  return { [task === undefined ? ATTRIBUTE.conversationId : ATTRIBUTE.messageId]: id };
}

export function attemptAttributes({
  queue,
  id,
  runId,
  name,
  attempt,
}: Pick<TaskContext, 'queue' | 'id' | 'runId' | 'name' | 'attempt'>): Attributes {
  return {
    ...operation('process'),
    [ATTRIBUTE.destination]: queue,
    [ATTRIBUTE.messageId]: id,
    ...(runId !== undefined && { [ATTRIBUTE.conversationId]: runId }),
    [ATTRIBUTE.task]: name,
    [ATTRIBUTE.attempt]: attempt,
  };
}

function operation(name: 'send' | 'process'): Attributes {
  return {
    [ATTRIBUTE.system]: 'bullmq',
    [ATTRIBUTE.operation]: name,
    [ATTRIBUTE.operationType]: name,
  };
}
