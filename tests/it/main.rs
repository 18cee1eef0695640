//! Integration tests, in the order a message travels.
