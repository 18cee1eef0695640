//! What the gateway decides: pure functions and values. No clock, no I/O, no runtime.

pub mod model;
