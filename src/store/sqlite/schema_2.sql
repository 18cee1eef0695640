-- What the peer is known to have heard of our answers to its SMS.

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
