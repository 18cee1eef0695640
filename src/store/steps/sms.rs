//! SMS from phones: told from redeliveries, joined from their parts, then pending.
