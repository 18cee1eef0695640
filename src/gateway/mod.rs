//! What the gateway decides: pure functions and values. No clock, no I/O, no runtime.

pub mod allowance;
pub mod changes;
pub mod command;
pub mod content;
pub mod failure;
pub mod limits;
pub mod message;
pub mod model;
pub mod names;
pub mod notice;
pub mod number;
pub mod opt_out;
pub mod outgoing;
pub mod plan;
pub mod pools;
pub mod said;
pub mod window;
