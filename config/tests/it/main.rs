//! The crate as its users see it: what loads, what does not, and what is said about it.

mod mistakes;
mod settings;
mod world;
