//! The `matrix-smpp` program.

fn main() {}
