-- What a segment has beside its text: SAR parameters, or message_payload. Emptied with the text.
ALTER TABLE segment ADD COLUMN tlvs BLOB NOT NULL DEFAULT x'';

-- How this peer's receipts write the ids of its answers, where that is known: a number of IdForm,
-- as in ids.rs.
ALTER TABLE parked ADD COLUMN form INTEGER;

-- Whether the id is known from a receipt alone, for no answer came.
ALTER TABLE sent ADD COLUMN by_receipt INTEGER NOT NULL DEFAULT 0;

-- How often receipts showed that a peer writes the ids of its answers in this form, less what spoke
-- against it.
CREATE TABLE id_form (
    link_group TEXT NOT NULL,
    form       INTEGER NOT NULL,
    seen       INTEGER NOT NULL,
    PRIMARY KEY (link_group, form)
) STRICT, WITHOUT ROWID;
