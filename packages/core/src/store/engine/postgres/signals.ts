/**
 * This module keeps signals and waits in a table. Each decision is one function call under a lock of its record, so one of a
 * signal, a timeout and a revocation wins.
 */
import { INTERNAL_QUEUE } from '../../../job/job-tree.js';
import { waitPosition } from '../../../job/signal-wait.js';
import type {
  OpenWaitRecord,
  SignalDecision,
  SignalPrimitives,
  WaitEnd,
  WaitState,
} from '../../primitives/signals.js';
import type { SqlBackend } from './backend.js';

/** A row of `umbel_wait`; numbers are texts. */
interface WaitRow {
  readonly id: string;
  readonly signal: string;
  readonly key: string;
  readonly state: 'sent' | 'waiting' | 'signalled' | 'ended';
  readonly job: string | null;
  readonly since: string | null;
  readonly until: string | null;
  /** Set while the wait is open. */
  readonly position: string | null;
  readonly payload: string | null;
  readonly sent_at: string | null;
  readonly reason: WaitEnd | null;
}

const OPEN_COLUMNS = 'id, signal, key, state, job, since, until, position';

export function sqlSignals(backend: SqlBackend): SignalPrimitives {
  const { qualifiedName } = backend;
  const jobs = `${qualifiedName.slice(0, qualifiedName.lastIndexOf(':') + 1)}${INTERNAL_QUEUE}`;
  return {
    async startWait({ id, signal, key, job, since, until, isRestart }) {
      const { rows } = await backend.query(
        'SELECT * FROM umbel_start_wait($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
        [
          ...[qualifiedName, jobs, id, signal, key, job, whole(since)],
          ...[until === undefined ? null : whole(until), waitPosition({ id, signal }, since), isRestart],
        ],
      );
      return stateOf(rows[0] as WaitRow | undefined, job);
    },
    async sendSignal({ id, signal, key, token, payload, now, keepMs, endedMs }) {
      const { rows } = await backend.query(
        'SELECT * FROM umbel_send_signal($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)',
        [qualifiedName, jobs, id, signal, key, token, payload, whole(now), whole(keepMs), whole(endedMs)],
      );
      const [{ answer, job }] = rows as [{ answer: SignalDecision['answer']; job: string | null }];
      return { answer, ...(job !== null && { job }) };
    },
    async endWait(id, job, reason, endedMs) {
      const { rows } = await backend.query('SELECT * FROM umbel_end_wait($1, $2, $3, $4, $5, $6)', [
        ...[qualifiedName, jobs, id, job, reason, whole(endedMs)],
      ]);
      return stateOf(rows[0] as WaitRow | undefined, job);
    },
    async reopenWait(id, job) {
      await backend.query(
        "DELETE FROM umbel_wait WHERE queue = $1 AND id = $2 AND job = $3 AND state = 'ended'",
        [qualifiedName, id, job],
      );
    },
    async listWaits(signal, after, limit) {
      // A space sorts before all characters of names, and the exclamation mark follows it.
      const start = after ?? (signal === undefined ? '' : `${signal} `);
      const end = signal === undefined ? '' : 'AND position < $4';
      const { rows } = await backend.query(
        `SELECT ${OPEN_COLUMNS} FROM umbel_wait WHERE queue = $1 AND position > $2 ${end} ORDER BY position LIMIT $3`,
        [qualifiedName, start, limit, ...(signal === undefined ? [] : [`${signal}!`])],
      );
      const next = rows.length < limit ? undefined : (rows.at(-1) as WaitRow | undefined)?.position;
      return { waits: (rows as WaitRow[]).map(recordOf), ...(typeof next === 'string' && { next }) };
    },
    async findWait(id) {
      const { rows } = await backend.query(
        `SELECT ${OPEN_COLUMNS} FROM umbel_wait WHERE queue = $1 AND id = $2 AND position IS NOT NULL`,
        [qualifiedName, id],
      );
      return rows[0] === undefined ? undefined : recordOf(rows[0] as WaitRow);
    },
    async checkWaits(after, limit, endedMs) {
      const { rows } = await backend.query('SELECT * FROM umbel_check_waits($1, $2, $3, $4, $5)', [
        ...[qualifiedName, jobs, after ?? '', limit, whole(endedMs)],
      ]);
      const [{ checked, ended, unstarted, last }] = rows as [
        { checked: number; ended: number; unstarted: string[]; last: string | null },
      ];
      return { checked, ended, unstarted, ...(checked === limit && last !== null && { next: last }) };
    },
  };
}

/** Returns the state of a wait for a job, from the record after a command. */
function stateOf(row: WaitRow | undefined, job: string): WaitState {
  if (row === undefined) return { kind: 'ended', reason: 'gone' };
  const { state, since, until, payload, sent_at, reason } = row;
  if (row.job !== job) return { kind: 'other', job: row.job ?? '' };
  if (state === 'signalled') return { kind: 'signalled', payload: payload ?? '', at: Number(sent_at) };
  const times = { since: Number(since), ...(until !== null && { until: Number(until) }) };
  return state === 'ended'
    ? { kind: 'ended', reason: reason ?? 'gone', ...times }
    : { kind: 'waiting', ...times };
}

/** Returns an open wait. */
function recordOf({ id, signal, key, job, since, until, state }: WaitRow): OpenWaitRecord {
  return {
    ...{ id, signal, key, job: job ?? '', since: Number(since), isSignalled: state === 'signalled' },
    ...(until !== null && { until: Number(until) }),
  };
}

function whole(ms: number): number {
  return Math.max(0, Math.floor(Math.min(ms, Number.MAX_SAFE_INTEGER)));
}

/** Number of expired records that one check removes. */
const REMOVED_AT_ONCE = 10_000;

export const SIGNAL_OBJECTS = `
CREATE TABLE IF NOT EXISTS umbel_wait (
  queue text NOT NULL,
  id text NOT NULL,
  signal text NOT NULL,
  key text NOT NULL,
  state text NOT NULL,
  job text,
  since bigint,
  until bigint,
  position text COLLATE "C",
  payload text,
  token text,
  sent_at bigint,
  reason text,
  expires_at bigint,
  PRIMARY KEY (queue, id)
);
CREATE UNIQUE INDEX IF NOT EXISTS umbel_wait_open_idx ON umbel_wait (queue, position) WHERE position IS NOT NULL;
CREATE INDEX IF NOT EXISTS umbel_wait_expiry_idx ON umbel_wait (queue, expires_at) WHERE expires_at IS NOT NULL;

CREATE OR REPLACE FUNCTION umbel_is_over(p_jobs text, p_job text) RETURNS boolean
LANGUAGE sql SET search_path FROM CURRENT AS $$
  SELECT NOT EXISTS (SELECT 1 FROM job WHERE queue = p_jobs AND id = p_job AND state NOT IN ('completed', 'failed'));
$$;

-- Locks a record, which may be missing, and returns it.
CREATE OR REPLACE FUNCTION umbel_lock_wait(p_queue text, p_id text) RETURNS umbel_wait
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_found umbel_wait;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('umbel:wait'), hashtext(p_queue || ':' || p_id));
  DELETE FROM umbel_wait WHERE queue = p_queue AND id = p_id
    AND expires_at <= extract(epoch FROM clock_timestamp()) * 1000;
  SELECT * INTO v_found FROM umbel_wait WHERE queue = p_queue AND id = p_id FOR UPDATE;
  RETURN v_found;
END;
$$;

CREATE OR REPLACE FUNCTION umbel_finish_wait(p_queue text, p_id text, p_reason text, p_keep bigint)
RETURNS SETOF umbel_wait
LANGUAGE sql SET search_path FROM CURRENT AS $$
  UPDATE umbel_wait SET state = 'ended', reason = p_reason, payload = NULL, position = NULL,
    expires_at = (extract(epoch FROM clock_timestamp()) * 1000)::bigint + p_keep
   WHERE queue = p_queue AND id = p_id RETURNING *;
$$;

-- Returns the record that decides: that of this job, or of another one that waits.
CREATE OR REPLACE FUNCTION umbel_start_wait(
  p_queue text, p_jobs text, p_id text, p_signal text, p_key text, p_job text, p_since bigint, p_until bigint,
  p_position text, p_restart boolean
) RETURNS SETOF umbel_wait
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_found umbel_wait;
  v_sent boolean;
BEGIN
  v_found := umbel_lock_wait(p_queue, p_id);
  IF v_found.state IN ('waiting', 'signalled') AND (v_found.job = p_job OR NOT umbel_is_over(p_jobs, v_found.job))
    OR v_found.state = 'ended' AND v_found.job = p_job AND p_restart
  THEN
    RETURN NEXT v_found;
    RETURN;
  END IF;
  v_sent := COALESCE(v_found.state = 'sent', false);
  DELETE FROM umbel_wait WHERE queue = p_queue AND id = p_id;
  RETURN QUERY INSERT INTO umbel_wait
    (queue, id, signal, key, state, job, since, until, position, payload, token, sent_at)
  VALUES (p_queue, p_id, p_signal, p_key, CASE WHEN v_sent THEN 'signalled' ELSE 'waiting' END, p_job, p_since, p_until,
    p_position, CASE WHEN v_sent THEN v_found.payload END, CASE WHEN v_sent THEN v_found.token END,
    CASE WHEN v_sent THEN v_found.sent_at END)
  RETURNING *;
END;
$$;

CREATE OR REPLACE FUNCTION umbel_send_signal(
  p_queue text, p_jobs text, p_id text, p_signal text, p_key text, p_token text, p_payload text, p_now bigint,
  p_keep bigint, p_ended bigint, OUT answer text, OUT job text
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_found umbel_wait;
BEGIN
  v_found := umbel_lock_wait(p_queue, p_id);
  IF v_found.state IS NULL THEN
    INSERT INTO umbel_wait (queue, id, signal, key, state, payload, token, sent_at, expires_at)
    VALUES (p_queue, p_id, p_signal, p_key, 'sent', p_payload, p_token, p_now,
      (extract(epoch FROM clock_timestamp()) * 1000)::bigint + p_keep);
    answer := 'accepted';
  ELSIF v_found.token = p_token THEN
    answer := 'accepted';
    job := CASE WHEN v_found.state = 'signalled' THEN v_found.job END;
  ELSIF v_found.state IN ('sent', 'signalled') THEN
    answer := 'duplicate';
    job := v_found.job;
  ELSIF v_found.state = 'ended' THEN
    answer := CASE WHEN v_found.reason = 'taken' THEN 'duplicate' ELSE 'tooLate' END;
  ELSIF umbel_is_over(p_jobs, v_found.job) THEN
    PERFORM umbel_finish_wait(p_queue, p_id, 'gone', p_ended);
    answer := 'tooLate';
  ELSIF p_now >= v_found.until THEN
    PERFORM umbel_finish_wait(p_queue, p_id, 'timeout', p_ended);
    answer := 'tooLate';
  ELSE
    UPDATE umbel_wait SET state = 'signalled', payload = p_payload, token = p_token, sent_at = p_now
     WHERE queue = p_queue AND id = p_id;
    answer := 'accepted';
    job := v_found.job;
  END IF;
END;
$$;

CREATE OR REPLACE FUNCTION umbel_end_wait(
  p_queue text, p_jobs text, p_id text, p_job text, p_reason text, p_keep bigint
) RETURNS SETOF umbel_wait
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_found umbel_wait;
BEGIN
  v_found := umbel_lock_wait(p_queue, p_id);
  IF v_found.state IS NULL OR v_found.job IS DISTINCT FROM p_job THEN RETURN; END IF;
  IF v_found.state = 'ended' OR (v_found.state = 'signalled' AND p_reason <> 'taken')
    OR (p_reason = 'taken' AND NOT umbel_is_over(p_jobs, p_job))
  THEN
    RETURN NEXT v_found;
  ELSE
    RETURN QUERY SELECT * FROM umbel_finish_wait(p_queue, p_id, p_reason, p_keep);
  END IF;
END;
$$;

-- A record that another transaction decides about is skipped, so a check waits for nobody.
CREATE OR REPLACE FUNCTION umbel_check_waits(
  p_queue text, p_jobs text, p_after text, p_limit integer, p_keep bigint,
  OUT checked integer, OUT ended integer, OUT unstarted text[], OUT last text
) LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_found umbel_wait;
  v_state text;
BEGIN
  checked := 0;
  ended := 0;
  unstarted := '{}';
  IF p_after = '' THEN
    DELETE FROM umbel_wait WHERE queue = p_queue AND id IN (
      SELECT id FROM umbel_wait WHERE queue = p_queue AND expires_at <= extract(epoch FROM clock_timestamp()) * 1000
       LIMIT ${REMOVED_AT_ONCE} FOR UPDATE SKIP LOCKED);
  END IF;
  FOR v_found IN
    SELECT * FROM umbel_wait WHERE queue = p_queue AND position > p_after
     ORDER BY position LIMIT p_limit FOR UPDATE SKIP LOCKED
  LOOP
    checked := checked + 1;
    last := v_found.position;
    SELECT state::text INTO v_state FROM job WHERE queue = p_jobs AND id = v_found.job;
    IF NOT FOUND OR v_state IN ('completed', 'failed') THEN
      -- The payload of a failed job stays, for a resume.
      CONTINUE WHEN v_found.state = 'signalled' AND v_state = 'failed';
      PERFORM umbel_finish_wait(p_queue, v_found.id,
        CASE WHEN v_found.state = 'signalled' THEN 'taken' ELSE 'gone' END, p_keep);
      ended := ended + 1;
    ELSIF v_found.state = 'signalled' THEN
      unstarted := unstarted || v_found.job;
    END IF;
  END LOOP;
END;
$$;
`;
