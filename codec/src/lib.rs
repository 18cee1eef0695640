//! SMPP 3.4 bytes to values and back.
//!
//! Bytes are first cut into whole frames by `command_length` ([`frame::cut`]), then each frame is
//! decoded on its own ([`frame::decode`]): a bad PDU is a value, not a broken link. Links use
//! [`frame::take`], which does both at once and allocates nothing. Nothing here knows a clock, a
//! socket or a task.
//!
//! Going down the list of modules follows a PDU from the wire to a text:
//!
//! - [`frame`]: cutting, header, [`Pdu`], [`Inbound`];
//! - [`pdu`]: one declaration per PDU, and [`Body`];
//! - [`field`], [`octets`], [`dests`]: what a body is made of;
//! - [`tlv`]: optional parameters; [`callback`]: those that are more than a number;
//! - [`values`]: the numbers of the standard, open for those it does not know;
//! - [`e164`]: telephone numbers;
//! - [`udh`] and [`text`]: what the octets of a message say; [`segment`]: the way back;
//! - [`reassembly`]: segments back into messages;
//! - [`quirks`]: what some peers do against the standard;
//! - [`receipt`], [`message_id`] and [`mod@time`]: what became of a message, which, and when.
//!
//! ```
//! use bytes::BytesMut;
//! use matrix_smpp_codec::{Body, Inbound, Pdu, SubmitSm, take};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let submit_sm = SubmitSm {
//!     destination_addr: "447700900123".parse()?,
//!     short_message: b"hello".as_slice().try_into()?,
//!     ..SubmitSm::default()
//! };
//! let sent = Pdu::new(1, Body::SubmitSm(submit_sm));
//!
//! let mut wire = BytesMut::new();
//! sent.encode(&mut wire);
//!
//! assert_eq!(take(&mut wire, 64 * 1024)?, Some(Inbound::Pdu(sent)));
//! # Ok(())
//! # }
//! ```
#![deny(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::arithmetic_side_effects,
    clippy::as_conversions
)]
#![cfg_attr(
    test,
    allow(
        clippy::indexing_slicing,
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::arithmetic_side_effects,
        clippy::as_conversions,
        clippy::string_slice,
        reason = "a test that panics has failed, as it should"
    )
)]

pub mod callback;
pub mod dests;
pub mod e164;
pub mod field;
pub mod frame;
pub mod message_id;
pub mod octets;
pub mod pdu;
pub mod quirks;
pub mod reassembly;
pub mod receipt;
pub mod segment;
pub mod text;
pub mod time;
pub mod tlv;
pub mod udh;
pub mod values;

#[cfg(test)]
mod tests;

pub use callback::{CallbackNum, CallbackNumAtag, ItsSession, Subaddress};
pub use dests::{DestAddress, DestAddresses, UnsuccessSme, UnsuccessSmes};
pub use e164::{E164, E164Error};
pub use field::{DecodeError, FieldError, OctetsError};
pub use frame::{FrameError, HEADER_LEN, Header, Inbound, Pdu, cut, decode, take, take_into};
pub use message_id::IdForm;
pub use octets::{Address, COctets, MessageId, Password, ShortMessage};
pub use pdu::{
    AlertNotification, Bind, BindResp, Body, CancelSm, DataSm, DataSmResp, DeliverSm,
    DeliverSmResp, Outbind, QuerySm, QuerySmResp, ReplaceSm, SubmitMulti, SubmitMultiResp,
    SubmitSm, SubmitSmResp,
};
pub use quirks::{Quirk, Quirks};
pub use reassembly::{Ends, Reassembler};
pub use receipt::Receipt;
pub use segment::{
    Carriage, Carried, Part, Preview, ReferenceWidth, Segments, SplitError, Splitter,
};
pub use text::{
    Allowed, Alphabet, Charset, Language, Languages, MessageClass, MessageWaiting, Shifts,
};
pub use time::{AbsoluteTime, RelativeTime, Time, TimeError};
pub use tlv::{NetworkErrorCode, Tlv, Tlvs};
pub use udh::{Concat, InboundText, Reference, TextFields};
pub use values::{
    CommandId, CommandStatus, DataCoding, EsmClass, InterfaceVersion, MessageState, Npi,
    RegisteredDelivery, TlvTag, Ton,
};
