/**
 * This module holds the table of events and the functions that write them.
 *
 * BullMQ 6.7 reads events in the order of their ids, so it misses an event whose transaction commits after a later id, and
 * drops the events of a quiet queue when others are busy. Here each event stores the first transaction id that was not in
 * use yet (`horizon`), which grows with what the transaction has seen. Events are sorted by it, then by their number. All
 * events up to the oldest open transaction are complete: what an open one has written is beyond its id. Events are counted
 * for each queue, and always notify.
 *
 * A second notification names the jobs that have ended, so that whoever waits for one of them asks for it alone. It holds no
 * result: every user of a database may listen to all of its notifications.
 */

/** The default of `opts.maxLenEvents`, as in BullMQ. */
const KEPT_EVENTS = 10_000;

/** A notification holds fewer than 8,000 bytes. */
const MAX_NOTICE_BYTES = 7500;

/** The channel of the queues whose jobs have ended or have reported progress. */
export const NOTICES = 'umbel_ends';

/**
 * Settings of functions whose statements find their rows by indexes. A plan is made once for a connection: with
 * these settings it is right from the start, when tables are empty, and planning takes no time of each call.
 */
export const INDEXED = `SET search_path FROM CURRENT SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off`;

export const EVENT_FUNCTIONS = `
CREATE TABLE IF NOT EXISTS umbel_event (
  queue text NOT NULL,
  horizon bigint NOT NULL,
  id bigint NOT NULL,
  event text NOT NULL,
  data jsonb NOT NULL,
  created_at_ms bigint NOT NULL,
  PRIMARY KEY (queue, horizon, id)
);
CREATE INDEX IF NOT EXISTS umbel_event_time_idx ON umbel_event (queue, created_at_ms);

CREATE OR REPLACE FUNCTION umbel_trim_events(p_queue text, p_max bigint) RETURNS bigint
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_horizon bigint;
  v_id bigint;
  v_count bigint;
BEGIN
  -- Two who trim the same events at once would wait for each other.
  IF NOT pg_try_advisory_xact_lock(hashtext('umbel:trim'), hashtext(p_queue)) THEN RETURN 0; END IF;
  SELECT horizon, id INTO v_horizon, v_id FROM umbel_event
   WHERE queue = p_queue ORDER BY horizon DESC, id DESC OFFSET p_max LIMIT 1;
  IF NOT FOUND THEN RETURN 0; END IF;
  DELETE FROM umbel_event WHERE queue = p_queue AND (horizon, id) <= (v_horizon, v_id);
  GET DIAGNOSTICS v_count = ROW_COUNT;
  RETURN v_count;
END;
$$;

-- Tells that jobs have ended: the queue and the ids, a line each. Without the ids, if they are too long or not known,
-- the events have to be read.
CREATE OR REPLACE FUNCTION umbel_notice(p_queue text, p_ids text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  v_text text := p_queue || E'\\n' || array_to_string(p_ids, E'\\n');
BEGIN
  IF p_ids IS NULL OR octet_length(v_text) > ${MAX_NOTICE_BYTES} THEN v_text := p_queue; END IF;
  PERFORM pg_notify('${NOTICES}', v_text);
END;
$$;

CREATE OR REPLACE FUNCTION umbel_publish(p_queue text, p_event text, p_data jsonb, p_max bigint)
RETURNS SETOF umbel_event
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  v_row umbel_event;
  v_max bigint := p_max;
  -- The transaction gets its id before it sees how far ids have come.
  v_xid bigint := pg_current_xact_id()::text::bigint;
BEGIN
  INSERT INTO umbel_event (queue, horizon, id, event, data, created_at_ms)
  VALUES (p_queue, GREATEST(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, v_xid + 1), nextval('event_seq'),
    p_event, COALESCE(p_data, '{}'::jsonb), (extract(epoch FROM clock_timestamp()) * 1000)::bigint)
  RETURNING * INTO v_row;
  PERFORM pg_notify('bullmq_events', p_queue);
  IF p_event IN ('completed', 'failed', 'removed') THEN
    PERFORM umbel_notice(p_queue, ARRAY[p_data ->> 'jobId']);
  ELSIF p_event IN ('progress', 'cleaned') THEN
    PERFORM umbel_notice(p_queue, NULL);
  END IF;
  IF v_row.id % 128 = 0 OR p_max < 1000 THEN
    IF v_max IS NULL THEN
      SELECT value::bigint INTO v_max FROM meta WHERE queue = p_queue AND field = 'opts.maxLenEvents';
    END IF;
    PERFORM umbel_trim_events(p_queue, COALESCE(v_max, ${KEPT_EVENTS}));
  END IF;
  RETURN NEXT v_row;
END;
$$;

-- Writes events of a queue in their order. The caller has set the search path, and tells which jobs have ended.
CREATE OR REPLACE FUNCTION umbel_publish_all(p_queue text, p_events text[], p_data jsonb[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
  -- The transaction gets its id before it sees how far ids have come, see umbel_publish.
  v_xid bigint := pg_current_xact_id()::text::bigint;
  v_horizon bigint := GREATEST(pg_snapshot_xmax(pg_current_snapshot())::text::bigint, v_xid + 1);
  v_trims boolean;
BEGIN
  IF cardinality(p_events) = 0 THEN RETURN; END IF;
  WITH written AS (
    INSERT INTO umbel_event (queue, horizon, id, event, data, created_at_ms)
    SELECT p_queue, v_horizon, nextval('event_seq'), event, data, (extract(epoch FROM clock_timestamp()) * 1000)::bigint
    FROM (SELECT * FROM unnest(p_events, p_data) WITH ORDINALITY AS e(event, data, ord) ORDER BY ord) AS sorted
    RETURNING id
  )
  SELECT bool_or(id % 128 = 0) INTO v_trims FROM written;
  PERFORM pg_notify('bullmq_events', p_queue);
  IF v_trims THEN
    PERFORM umbel_trim_events(p_queue, COALESCE(
      (SELECT value::bigint FROM meta WHERE queue = p_queue AND field = 'opts.maxLenEvents'), ${KEPT_EVENTS}));
  END IF;
END;
$$;

CREATE OR REPLACE FUNCTION publish_event(p_queue text, p_event text, p_data jsonb) RETURNS bigint
LANGUAGE sql SET search_path FROM CURRENT AS $$
  SELECT id FROM umbel_publish(p_queue, p_event, p_data, NULL);
$$;

-- Some of BullMQ's functions write events themselves.
CREATE OR REPLACE FUNCTION umbel_take_event() RETURNS trigger
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
  PERFORM umbel_publish(NEW.queue, NEW.event, NEW.data, NULL);
  RETURN NULL;
END;
$$;
DROP TRIGGER IF EXISTS umbel_take_event ON event;
CREATE TRIGGER umbel_take_event BEFORE INSERT ON event FOR EACH ROW EXECUTE FUNCTION umbel_take_event();
`;
