-- What aggregators that bind to us have submitted: each SMS or part by the id of its row in `taken`,
-- which our message_id is made of. It points at the SMS, or at the long SMS that still waits for
-- parts, or at neither where it is for nobody.
CREATE TABLE submission (
    id               INTEGER PRIMARY KEY, -- taken.id, which is never used again
    link_group       TEXT NOT NULL,
    sms              INTEGER,
    partial          INTEGER,
    source_ton       INTEGER NOT NULL,
    source_npi       INTEGER NOT NULL,
    source           TEXT NOT NULL,       -- as it was submitted
    destination_ton  INTEGER NOT NULL,
    destination_npi  INTEGER NOT NULL,
    destination      TEXT NOT NULL,
    data_coding      INTEGER NOT NULL,
    receipt          INTEGER NOT NULL,    -- registered_delivery
    receipt_age      INTEGER NOT NULL,    -- how long a receipt waits for its account
    valid_until      INTEGER,
    at               INTEGER NOT NULL,
    state            INTEGER NOT NULL DEFAULT 1, -- message_state of SMPP
    said_at          INTEGER,             -- about to be said then, so it may have been
    ended_at         INTEGER
) STRICT;

CREATE INDEX submission_sms ON submission (sms) WHERE sms IS NOT NULL;
CREATE INDEX submission_partial ON submission (partial) WHERE partial IS NOT NULL;
CREATE INDEX submission_between ON submission (link_group, source, destination) WHERE state = 1;
CREATE INDEX submission_valid ON submission (valid_until)
    WHERE state = 1 AND said_at IS NULL AND valid_until IS NOT NULL;
CREATE INDEX submission_at ON submission (at);

-- The receipts that accounts are owed, until they have taken them.
CREATE TABLE owed (
    id         INTEGER PRIMARY KEY,         -- submission.id
    link_group TEXT NOT NULL,
    due_at     INTEGER NOT NULL,
    until      INTEGER NOT NULL,            -- given up then
    on_wire    INTEGER NOT NULL DEFAULT 0,  -- its answer is waited for
    attempt    INTEGER NOT NULL DEFAULT 0,  -- grows with each claim
    retries    INTEGER NOT NULL DEFAULT 0,  -- temporary errors
    resends    INTEGER NOT NULL DEFAULT 0   -- sent again without knowing what became of the first
) STRICT;

CREATE INDEX owed_due ON owed (link_group, due_at) WHERE on_wire = 0;
CREATE INDEX owed_on_wire ON owed (on_wire) WHERE on_wire = 1;
CREATE INDEX owed_until ON owed (until);

-- Withdrawn by who submitted it: never said.
ALTER TABLE sms ADD COLUMN withdrawn INTEGER NOT NULL DEFAULT 0;
