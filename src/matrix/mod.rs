//! The Matrix side: what the homeservers send us and what we ask of them.
//!
//! [`appservice`] takes transactions in and makes them durable; [`event`] says what one event of
//! theirs means. [`homeserver`] is everything that the gateway asks of a homeserver, [`client`]
//! does it over HTTP, and [`ghost`] brings the Matrix user of a phone into being.
//! [`registration`] writes the file that ties the two sides together.

pub mod appservice;
pub mod client;
pub mod event;
pub mod fake;
pub mod ghost;
pub mod homeserver;
mod html;
pub mod http;
pub mod registration;
mod transaction;
