-- What bounds what is kept.
CREATE INDEX extras_at ON extras (at);
CREATE INDEX sms_text ON sms (at) WHERE progress = 1 AND text <> '';

-- When the reference was used last.
ALTER TABLE reference ADD COLUMN at INTEGER NOT NULL DEFAULT 0;
CREATE INDEX reference_at ON reference (at);
