//! The simulator as its users meet it: ESMEs over SMPP, people and tests over HTTP.

mod client;
mod contact;
mod docs;
mod faults;
mod mo;
mod mt;
mod operations;
mod program;
mod raw;
mod script;
mod session;
mod smppsim;
mod watch;
