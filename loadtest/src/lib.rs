//! The SMSC simulator with its virtual handsets, the load generator, and a stub homeserver. They stand on the codec and session
//! crates and meet the gateway only over TCP and HTTP.

pub mod homeserver;
pub mod load;
pub mod sim;
mod slab;
