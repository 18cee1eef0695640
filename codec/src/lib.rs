//! SMPP 3.4 bytes to values and back.
