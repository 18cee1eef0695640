//! Accounts and their ledger.
