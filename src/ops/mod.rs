//! For the people who run the gateway: metrics, health, logs, the admin socket.

pub mod admin;
pub mod http;
pub mod log;
pub mod metrics;
