//! Segments on their way to a peer: claimed, answered, recovered.
