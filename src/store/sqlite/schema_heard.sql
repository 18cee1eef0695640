-- Which answers of ours a peer has heard, how long a receipt is waited for, and what an event is
-- about.

DROP TABLE taken;

-- What was taken a while ago, to know a copy of it.
CREATE TABLE taken (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    link_group  TEXT NOT NULL,
    handset     TEXT NOT NULL,
    number      TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    session     BLOB NOT NULL,    -- the bind that took it last
    named       INTEGER NOT NULL, -- the peer gave it an id of its own
    heard       INTEGER NOT NULL, -- the peer has our answer
    until       INTEGER NOT NULL  -- forgotten then
) STRICT;

CREATE INDEX taken_copy ON taken (link_group, handset, number, fingerprint);
CREATE INDEX taken_until ON taken (until);

-- No receipt is expected after receipt_by; NULL where none is expected at all.
ALTER TABLE message ADD COLUMN receipt_by INTEGER;

UPDATE message SET receipt_by = valid_until + 21600000 WHERE receipts = 1;

CREATE INDEX message_receipt ON message (receipt_by) WHERE state = 3;

-- The event that a finished one edited, redacted or otherwise referred to.
ALTER TABLE event ADD COLUMN about TEXT;

CREATE INDEX event_about ON event (event_id) WHERE about IS NOT NULL;
