//! The store: one contract of domain operations, each atomic and idempotent.
//!
//! An operation that returns `Ok` has been committed and survives the death of the process, and of
//! the machine as far as [`Store::durability`] says. Calling it again with the same arguments changes
//! nothing more, so that every caller may be killed between any two calls and simply start over: what
//! each operation finds then stands with the operation.
//! What the rest of the world must hear of a change (the room, the phone) is queued in the same
//! commit as the change itself.

mod absent;
mod audit;
mod base;
#[cfg(test)]
mod conformance;
mod contract;
mod counts;
mod engine;
mod front;
mod indexes;
mod marks;
#[cfg(test)]
mod memory;
mod migrate;
mod open;
mod ownership;
mod private;
mod redis;
mod remembered;
mod sqlite;
mod standing;
mod state;
mod steps;
mod table;
mod tables;
#[cfg(test)]
mod tests;
mod timer;
mod tx;

#[cfg(test)]
pub(crate) use conformance::queue_a_text;
pub use contract::*;
pub use front::TableStore;
#[cfg(test)]
pub(crate) use memory::Memory;
pub use migrate::Moved;
pub use open::{migrate, open};
pub use standing::{Reach, Sight, Standing};
