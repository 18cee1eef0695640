//! What the benchmarks of sessions share: the ends to compare, each in a process of its own, and
//! what a process costs.

pub mod child;
pub mod cost;
pub mod peers;
