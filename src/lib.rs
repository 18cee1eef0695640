//! An SMS gateway that speaks SMPP natively and has Matrix as its front.
//!
//! The modules stand in the order in which an SMS from a phone passes them on its way to a room;
//! read from the last to the first, they are the way of a Matrix message to a phone.

// The blank lines keep the order.
pub mod doors;

pub mod smsc;

pub mod flow;

pub mod gateway;

pub mod matrix;

pub mod store;

pub mod ops;

pub mod app;

pub mod cli;

pub mod clock;

pub mod crew;
