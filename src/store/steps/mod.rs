//! The operations of the contract, as plain functions of a [`Tx`](super::tx::Tx): one file for each
//! area. [`Store`](super::Store) says why each of them is atomic, and each area's trait what a repetition
//! of it finds.

pub(super) mod aside;
pub(super) mod conversations;
pub(super) mod copies;
pub(super) mod dispatch;
pub(super) mod explain;
pub(super) mod hasten;
pub(super) mod ids;
pub(super) mod inbox;
pub(super) mod leases;
pub(super) mod life;
pub(super) mod limits;
pub(super) mod messages;
pub(super) mod money;
pub(super) mod opt_outs;
pub(super) mod outbox;
pub(super) mod owed;
pub(super) mod parts;
pub(super) mod receipts;
pub(super) mod rooms;
pub(super) mod scheduled;
pub(super) mod scrub;
pub(super) mod sms;
pub(super) mod submissions;
pub(super) mod sweep;
