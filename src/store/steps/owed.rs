//! Receipts that accounts are owed: due, on the wire, taken.
