-- The store of one gateway. Times are milliseconds since 1970 (UTC), money is micro-units,
-- flags are 0 or 1, states are the numbers in rows.rs, handsets and originators the keys there.

-- What the store knows of itself.
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES ('instance', lower(hex(randomblob(4))));

-- Matrix events. A finished one keeps its id, so that a repeat is known, and loses its content.
CREATE TABLE event (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    homeserver TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    room       TEXT NOT NULL,
    json       TEXT,
    at         INTEGER NOT NULL,
    progress   INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 set aside
    reason     TEXT,
    UNIQUE (homeserver, event_id)
) STRICT;

CREATE INDEX event_pending ON event (seq) WHERE progress = 0;
CREATE INDEX event_done ON event (at) WHERE progress = 1;
CREATE INDEX event_set_aside ON event (seq) WHERE progress = 2;

-- What a homeserver never sends again beside events. Nothing reads it yet, so nothing forgets it.
CREATE TABLE extras (
    homeserver TEXT NOT NULL,
    txn_id     TEXT NOT NULL,
    json       TEXT NOT NULL,
    at         INTEGER NOT NULL,
    UNIQUE (homeserver, txn_id, json)
) STRICT;

-- Ghosts that are registered, named and have their device.
CREATE TABLE ghost (
    user TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE room (
    number     INTEGER PRIMARY KEY AUTOINCREMENT, -- order of first sight
    homeserver TEXT NOT NULL,
    room       TEXT NOT NULL,
    encrypted  INTEGER NOT NULL,
    UNIQUE (homeserver, room)
) STRICT;

CREATE TABLE member (
    room         INTEGER NOT NULL, -- room.number
    user         TEXT NOT NULL,
    joined       INTEGER NOT NULL, -- else invited
    display_name TEXT,
    PRIMARY KEY (room, user)
) STRICT, WITHOUT ROWID;

CREATE INDEX member_user ON member (user);

CREATE TABLE conversation (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    homeserver TEXT NOT NULL,
    room       TEXT,
    handset    TEXT NOT NULL,
    ghost      TEXT NOT NULL,
    owner      TEXT NOT NULL,
    direct     INTEGER NOT NULL,
    originator TEXT,
    active     INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX conversation_place ON conversation (homeserver, room, handset) WHERE active = 1;
CREATE UNIQUE INDEX conversation_direct ON conversation (owner, handset)
    WHERE active = 1 AND direct = 1;
CREATE INDEX conversation_ended ON conversation (homeserver, room, handset) WHERE active = 0;
CREATE INDEX conversation_former ON conversation (owner, handset) WHERE active = 0 AND direct = 1;

-- A (VMN, handset) pair serves one conversation, until its cooling-off has passed.
CREATE TABLE lease (
    vmn           TEXT NOT NULL,
    handset       TEXT NOT NULL,
    conversation  INTEGER NOT NULL,
    cooling_until INTEGER,
    PRIMARY KEY (handset, vmn)
) STRICT, WITHOUT ROWID;

CREATE INDEX lease_vmn ON lease (vmn);
CREATE INDEX lease_conversation ON lease (conversation);
CREATE INDEX lease_cooling ON lease (cooling_until) WHERE cooling_until IS NOT NULL;

-- Numbers given to a Matrix ID while the gateway ran.
CREATE TABLE dedicated (
    number TEXT PRIMARY KEY,
    owner  TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- The last concatenation reference used between two numbers.
CREATE TABLE reference (
    originator  TEXT NOT NULL,
    destination TEXT NOT NULL,
    value       INTEGER NOT NULL,
    PRIMARY KEY (originator, destination)
) STRICT, WITHOUT ROWID;

-- top_ups = balance + reserved + settled, and balance never below -overdraft.
CREATE TABLE account (
    owner     TEXT PRIMARY KEY,
    balance   INTEGER NOT NULL DEFAULT 0,
    reserved  INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    settled   INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    top_ups   INTEGER NOT NULL DEFAULT 0,
    overdraft INTEGER NOT NULL DEFAULT 0 CHECK (overdraft >= 0),
    CHECK (top_ups = balance + reserved + settled),
    CHECK (balance >= -overdraft)
) STRICT, WITHOUT ROWID;

-- Every movement of money, written once and never changed. Each kind moves its amount from one
-- place to another: 0 outside to balance, 1 balance to reserved, 2 reserved to settled,
-- 3 reserved to balance.
CREATE TABLE ledger (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    owner     TEXT NOT NULL,
    kind      INTEGER NOT NULL,
    amount    INTEGER NOT NULL,
    reference TEXT NOT NULL,    -- the top-up's key or the message's id
    segment   INTEGER NOT NULL, -- 0 where it is about the whole
    at        INTEGER NOT NULL,
    UNIQUE (reference, segment, kind)
) STRICT;

CREATE TRIGGER ledger_keeps_its_rows BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;
CREATE TRIGGER ledger_keeps_its_words BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'the ledger only grows'); END;

-- Messages towards phones. The key gives the order in a lane.
CREATE TABLE message (
    key                INTEGER PRIMARY KEY AUTOINCREMENT,
    id                 BLOB NOT NULL UNIQUE,
    source             TEXT NOT NULL, -- JSON
    homeserver         TEXT,          -- of an event
    event              TEXT,
    conversation       INTEGER NOT NULL,
    destination        TEXT NOT NULL,
    originator         TEXT NOT NULL,
    payer              TEXT NOT NULL,
    route              TEXT NOT NULL,
    link_group         TEXT NOT NULL,
    price              INTEGER NOT NULL CHECK (price >= 0),
    data_coding        INTEGER NOT NULL,
    segments           INTEGER NOT NULL,
    receipts           INTEGER NOT NULL,
    uncertain          TEXT NOT NULL, -- JSON of the policy
    valid_until        INTEGER NOT NULL,
    accepted_at        INTEGER NOT NULL,
    state              INTEGER NOT NULL,
    lane_left          INTEGER NOT NULL, -- segments that have not left the lane
    failure            TEXT,             -- JSON
    steps              INTEGER NOT NULL DEFAULT 0
) STRICT;

CREATE INDEX message_event ON message (event, homeserver) WHERE event IS NOT NULL;
CREATE INDEX message_lane ON message (conversation, key) WHERE lane_left > 0;
CREATE INDEX message_queued ON message (valid_until) WHERE state = 0;

CREATE TABLE segment (
    message    INTEGER NOT NULL, -- message.key
    number     INTEGER NOT NULL, -- 1 for the first
    link_group TEXT NOT NULL,
    state      INTEGER NOT NULL,
    ready      INTEGER NOT NULL, -- queued, and not behind another message of its lane
    in_lane    INTEGER NOT NULL, -- keeps the lane's next message waiting
    due_at     INTEGER NOT NULL,
    attempt    INTEGER NOT NULL DEFAULT 0, -- grows with each claim
    retries    INTEGER NOT NULL DEFAULT 0, -- temporary errors
    resends    INTEGER NOT NULL DEFAULT 0, -- sent again without knowing what became of the first
    paid       INTEGER NOT NULL DEFAULT 0, -- 0 reserved, 1 settled, 2 released
    udhi       INTEGER NOT NULL,
    payload    BLOB NOT NULL, -- emptied when it will not be sent again
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX segment_ready ON segment (link_group, due_at, message, number) WHERE ready = 1;
-- A query must say "state < 3" too, or SQLite does not see that this index answers it.
CREATE INDEX segment_open ON segment (state) WHERE state < 3;

-- The ids that peers gave. An exact id has the same canonical form, so one index finds both.
CREATE TABLE sent (
    link_group TEXT NOT NULL,
    canonical  TEXT NOT NULL,
    message    INTEGER NOT NULL,
    number     INTEGER NOT NULL,
    smsc_id    TEXT NOT NULL,
    PRIMARY KEY (link_group, canonical, message, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX sent_message ON sent (message);

-- Segments whose answer never came, for the receipt that may still prove them sent.
CREATE TABLE unanswered (
    message     INTEGER NOT NULL,
    number      INTEGER NOT NULL,
    link_group  TEXT NOT NULL,
    destination TEXT NOT NULL,
    originator  TEXT NOT NULL, -- digits
    lost        INTEGER NOT NULL, -- given up already
    until       INTEGER NOT NULL, -- end of the hold; of a lost one, of its memory
    PRIMARY KEY (message, number)
) STRICT, WITHOUT ROWID;

CREATE INDEX unanswered_pair ON unanswered (link_group, destination, originator);
CREATE INDEX unanswered_until ON unanswered (until);

-- Receipts that came before the answer which tells whose they are.
CREATE TABLE parked (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    link_group  TEXT NOT NULL,
    canonical   TEXT NOT NULL,
    smsc_id     TEXT NOT NULL,
    state       INTEGER NOT NULL,
    error       TEXT,
    destination TEXT, -- the phone
    originator  TEXT NOT NULL, -- digits
    at          INTEGER NOT NULL,
    UNIQUE (link_group, canonical, smsc_id, state)
) STRICT;

CREATE INDEX parked_pair ON parked (link_group, destination, originator);
CREATE INDEX parked_at ON parked (at);

-- What happened to a message, for people.
CREATE TABLE step (
    id      INTEGER PRIMARY KEY,
    message INTEGER NOT NULL,
    segment INTEGER,
    at      INTEGER NOT NULL,
    state   INTEGER NOT NULL,
    detail  TEXT NOT NULL
) STRICT;

CREATE INDEX step_message ON step (message);

-- Whole SMS from phones, numbered in the order in which they became whole.
CREATE TABLE sms (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    link_group TEXT NOT NULL,
    handset    TEXT NOT NULL,
    number     TEXT NOT NULL,
    text       TEXT NOT NULL,
    missing    INTEGER NOT NULL,
    recipient  TEXT NOT NULL, -- c:<conversation>, f:<conversation> or o:<owner>
    at         INTEGER NOT NULL,
    progress   INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 set aside
    reason     TEXT
) STRICT;

CREATE INDEX sms_pending ON sms (id) WHERE progress = 0;
CREATE INDEX sms_done ON sms (at) WHERE progress = 1;
CREATE INDEX sms_set_aside ON sms (id) WHERE progress = 2;

-- Long SMS with parts still to come.
CREATE TABLE partial (
    id         INTEGER PRIMARY KEY AUTOINCREMENT,
    link_group TEXT NOT NULL,
    handset    TEXT NOT NULL,
    number     TEXT NOT NULL,
    reference  TEXT NOT NULL, -- kind and value
    total      INTEGER NOT NULL,
    recipient  TEXT NOT NULL,
    at         INTEGER NOT NULL, -- of the first part
    UNIQUE (link_group, handset, number, reference, total)
) STRICT;

CREATE INDEX partial_at ON partial (at);

CREATE TABLE part (
    partial     INTEGER NOT NULL,
    number      INTEGER NOT NULL, -- 1 for the first
    data_coding INTEGER NOT NULL,
    payload     BLOB NOT NULL,
    PRIMARY KEY (partial, number)
) STRICT, WITHOUT ROWID;

-- What came in a little while ago, to know a redelivery.
CREATE TABLE taken (
    id          INTEGER PRIMARY KEY,
    link_group  TEXT NOT NULL,
    handset     TEXT NOT NULL,
    number      TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    session     BLOB NOT NULL,
    at          INTEGER NOT NULL
) STRICT;

CREATE INDEX taken_copy ON taken (link_group, handset, number, fingerprint);
CREATE INDEX taken_at ON taken (at);

-- Things to do at the homeserver. A finished one keeps its key.
CREATE TABLE outbox (
    id        INTEGER PRIMARY KEY AUTOINCREMENT,
    key       TEXT NOT NULL UNIQUE,
    lane      TEXT NOT NULL,
    item      TEXT, -- JSON
    head      INTEGER NOT NULL, -- the first unfinished one of its lane
    due_at    INTEGER NOT NULL,
    attempts  INTEGER NOT NULL DEFAULT 0,
    error     TEXT, -- of the last attempt
    queued_at INTEGER NOT NULL,
    progress  INTEGER NOT NULL DEFAULT 0, -- 0 pending, 1 done, 2 set aside
    reason    TEXT
) STRICT;

CREATE INDEX outbox_lane ON outbox (lane, id) WHERE progress = 0;
CREATE INDEX outbox_due ON outbox (due_at, id) WHERE head = 1;
CREATE INDEX outbox_postponed ON outbox (due_at) WHERE head = 1 AND attempts > 0;
CREATE INDEX outbox_done ON outbox (queued_at) WHERE progress = 1;
CREATE INDEX outbox_set_aside ON outbox (id) WHERE progress = 2;
