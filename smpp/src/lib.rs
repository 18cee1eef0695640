//! The SMPP conversation with a peer.
