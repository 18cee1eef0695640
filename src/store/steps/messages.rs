//! Messages towards phones: accepted, shown, taken back.
