//! Benchmarks of matrix-smpp beside hand-written bounds and other SMPP crates.
//!
//! Every measurement runs all its contestants in each round, so that whatever else the machine does
//! falls on all of them; a row shows the median over the rounds, and the least and the most.

pub mod bound;
pub mod child;
pub mod cost;
pub mod peers;
pub mod rounds;
pub mod samples;
