//! What the fuzz targets check. Each function takes any octets and fails where a promise is broken;
//! the targets only call them. `examples/seeds.rs` writes the octets to begin with.

mod messages;
mod session;
mod wire;

pub use messages::{receipt, segments, text};
pub use session::session;
pub use wire::{pdu, tlv};
