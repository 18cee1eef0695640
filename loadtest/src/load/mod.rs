//! The load generator: many binds, a rate, and what the peer makes of it.
//!
//! ```text
//!  pace ─due─▶ lane ◀─message─ mix         meter ◀─ tally (one interval at a time)
//!              │  ▲                          │
//!        submit▼  │answer, receipt           ▼
//!              session                    outcome ─▶ JSON, HTML
//! ```
//!
//! An open loop ([`Traffic::rate`]) has a time for every request, whether or not the peer keeps up,
//! and counts each latency from there: a peer that stalls for a second makes a second's worth of
//! requests late, and all of them show it. A closed loop keeps the windows full.
//!
//! [`send()`] is the ESME role, [`Listen`] the SMSC role.
//!
//! # The code
//!
//! `pace`, `mix`, `id_form`, `receipts`, `tally`, `expect` and `html` are pure. `lane` is one bind at
//! work, `run` what the binds share and the hand that starts and ends them, `send` and `listen` the
//! two roles.

pub(crate) mod clock;
mod error;
mod expect;
mod feed;
mod html;
mod id_form;
mod lane;
mod listen;
mod meter;
mod mix;
mod outcome;
pub(crate) mod pace;
mod plot;
mod receipts;
mod run;
mod send;
mod settings;
pub(crate) mod tally;

pub use error::{BindFault, LoadError};
pub use expect::{Expectations, Verdict};
pub use html::html;
pub use listen::Listen;
pub use meter::{Interval, Quantiles};
pub use mix::{Lengths, Mix, MixError};
pub use outcome::{Outcome, Point, RunView, SCHEMA};
pub use run::Stop;
pub use send::send;
pub use settings::{ListenSettings, Password, SendSettings, Traffic};
pub use tally::Counts;
