//! Integration tests against real peers, in the order a message travels.

mod homeserver;
mod support;
