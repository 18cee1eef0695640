//! What is due by time alone.
