-- When an item ended: was done or set aside.
ALTER TABLE event ADD COLUMN ended_at INTEGER;
ALTER TABLE sms ADD COLUMN ended_at INTEGER;
ALTER TABLE outbox ADD COLUMN ended_at INTEGER;

UPDATE event SET ended_at = at WHERE progress = 2;
UPDATE sms SET ended_at = at WHERE progress = 2;
UPDATE outbox SET ended_at = queued_at WHERE progress = 2;

DROP INDEX event_set_aside;
DROP INDEX sms_set_aside;
DROP INDEX outbox_set_aside;
CREATE INDEX event_set_aside ON event (ended_at) WHERE progress = 2;
CREATE INDEX sms_set_aside ON sms (ended_at) WHERE progress = 2;
CREATE INDEX outbox_set_aside ON outbox (ended_at) WHERE progress = 2;
