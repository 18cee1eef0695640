//! The simulator as its users meet it: ESMEs over SMPP, people and tests over HTTP.

mod client;
mod mo;
mod mt;
mod program;
mod session;
