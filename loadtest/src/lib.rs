//! The SMSC simulator with its virtual handsets, and load tools. They stand on the codec and session
//! crates and meet the gateway only over TCP and HTTP.

pub mod load;
pub mod sim;
