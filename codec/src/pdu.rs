//! Every PDU of SMPP 3.4, each declared once: its fields in wire order, with the standard's names.

use bytes::{BufMut, BytesMut};

use crate::dests::{DestAddresses, UnsuccessSmes};
use crate::field::{Cursor, DecodeError, Field, FieldError, Frame, Part, Source};
use crate::frame::{HEADER_LEN, Header, Inbound, Pdu};
use crate::octets::{Address, COctets, MessageId, Password, ShortMessage};
use crate::tlv::Tlvs;
use crate::values::{
    CommandId, DataCoding, EsmClass, InterfaceVersion, MessageState, Npi, RegisteredDelivery, Ton,
};

/// A PDU body as a whole.
trait Layout: Default {
    /// Reads the fields in wire order, the first behind the header, into an empty body. What is left
    /// behind them is not looked at.
    fn read(&mut self, frame: &mut Frame<'_, impl Source>) -> Result<(), DecodeError>;

    /// Enough octets for [`Layout::put`] of any value, but for the entries of lists.
    const ROOM: usize;

    /// The room for those.
    fn more_room(&self) -> usize;

    /// Writes the fields in wire order, but for their tails; `None` where there is less room.
    fn put(&self, out: &mut Cursor<'_>) -> Option<()>;

    /// The octets of the tails.
    fn tail_len(&self) -> usize;

    /// Appends the tails, in wire order.
    fn put_tail(&self, out: &mut BytesMut);

    /// Appends the PDU `pdu`, which has this body, to `out`.
    fn write(&self, command_id: CommandId, pdu: &Pdu, out: &mut BytesMut);
}

/// Declares one PDU: a struct of its fields in wire order, read and written in that order.
macro_rules! pdu {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $ty:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Default)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $ty,)+
        }

        impl Layout for $name {
            #[inline]
            fn read(&mut self, frame: &mut Frame<'_, impl Source>) -> Result<(), DecodeError> {
                let whole = frame.as_bytes().len();
                let input = frame.body();
                $(let (input, $field) = self.$field.take(input).map_err(|cause| {
                    let at = whole.saturating_sub(input.len());
                    unreadable(stringify!($name), stringify!($field), &cause, at)
                })?;)+
                let _left_over = input;
                let mut parts = 0_u8 $(.saturating_add($field.is_kept().into()))+;
                $(
                    parts = parts.saturating_sub($field.is_kept().into());
                    self.$field.keep($field, parts == 0, frame);
                )+
                Ok(())
            }

            const ROOM: usize = 0_usize $(.saturating_add(<$ty as Field>::ROOM))+;

            #[inline]
            fn more_room(&self) -> usize {
                0_usize $(.saturating_add(self.$field.more_room()))+
            }

            #[inline]
            fn put(&self, out: &mut Cursor<'_>) -> Option<()> {
                $(self.$field.put(out)?;)+
                Some(())
            }

            #[inline]
            fn tail_len(&self) -> usize {
                0_usize $(.saturating_add(self.$field.tail().len()))+
            }

            #[inline]
            fn put_tail(&self, out: &mut BytesMut) {
                $(append(self.$field.tail(), out);)+
            }

            /// Not inlined: no kind of PDU saves registers that another one needs.
            #[inline(never)]
            fn write(&self, command_id: CommandId, pdu: &Pdu, out: &mut BytesMut) {
                let header = Header {
                    command_id,
                    status: pdu.status,
                    sequence: pdu.sequence,
                };
                let room = const { HEADER_LEN.saturating_add(<$name as Layout>::ROOM) };
                let room = room.saturating_add(self.more_room());
                if out.spare_capacity_mut().len() < room {
                    return make_room_and_write(self, command_id, pdu, room, out);
                }
                let fields = [$(stringify!($field)),+].len();
                if fields <= 2 {
                    let mut whole = [0; HEADER_LEN.saturating_add(<$name as Layout>::ROOM)];
                    write_few(self, header, &mut whole, out);
                } else {
                    write_many(self, header, room, out);
                }
            }
        }

        #[cfg(test)]
        impl proptest::arbitrary::Arbitrary for $name {
            type Parameters = ();
            type Strategy = proptest::strategy::BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                use proptest::strategy::{Just, Strategy};
                let pdu = Just(Self::default()).boxed();
                $(let pdu = (pdu, proptest::arbitrary::any::<$ty>())
                    .prop_map(|(pdu, $field)| Self { $field, ..pdu })
                    .boxed();)+
                pdu
            }
        }
    };
}

#[cold]
fn unreadable(
    pdu: &'static str,
    field: &'static str,
    cause: &nom::Err<FieldError>,
    at: usize,
) -> DecodeError {
    let cause = match cause {
        nom::Err::Error(cause) | nom::Err::Failure(cause) => *cause,
        nom::Err::Incomplete(_) => FieldError::Truncated,
    };
    DecodeError {
        pdu,
        field,
        cause,
        at,
    }
}

pdu! {
    /// Opens a session: the body of the three binds. §4.1.1, §4.1.3, §4.1.5.
    Bind {
        /// Who binds.
        system_id: COctets<16>,
        /// The proof of it.
        password: Password,
        /// The kind of ESME, often empty.
        system_type: COctets<13>,
        /// The version that the ESME speaks.
        interface_version: InterfaceVersion,
        /// Type of number of `address_range`.
        addr_ton: Ton,
        /// Numbering plan of `address_range`.
        addr_npi: Npi,
        /// The addresses that the ESME serves, often empty.
        address_range: COctets<41>,
    }
}

pdu! {
    /// Answers a bind. Absent when the status is an error. §4.1.2, §4.1.4, §4.1.6.
    BindResp {
        /// Who was bound to.
        system_id: COctets<16>,
        /// `sc_interface_version`.
        tlvs: Tlvs,
    }
}

pdu! {
    /// The SMSC asks the ESME to bind as a receiver. §4.1.7.
    Outbind {
        /// Who asks.
        system_id: COctets<16>,
        /// The proof of it.
        password: Password,
    }
}

pdu! {
    /// Hands a message to the SMSC. §4.4.1.
    SubmitSm {
        /// The service; empty for the default.
        service_type: COctets<6>,
        /// Type of number of the source.
        source_addr_ton: Ton,
        /// Numbering plan of the source.
        source_addr_npi: Npi,
        /// Who sends; empty for the SMSC's default.
        source_addr: Address<21>,
        /// Type of number of the destination.
        dest_addr_ton: Ton,
        /// Numbering plan of the destination.
        dest_addr_npi: Npi,
        /// Who receives.
        destination_addr: Address<21>,
        /// Mode, type and features.
        esm_class: EsmClass,
        /// The network's protocol identifier (GSM 03.40 TP-PID).
        protocol_id: u8,
        /// Priority, 0 to 3.
        priority_flag: u8,
        /// When to deliver; empty for now.
        schedule_delivery_time: COctets<17>,
        /// When to give up; empty for the SMSC's default.
        validity_period: COctets<17>,
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery,
        /// 1 to replace an earlier message with the same addresses and service.
        replace_if_present_flag: u8,
        /// How the text is to be read.
        data_coding: DataCoding,
        /// A text that the SMSC keeps; 0 for none.
        sm_default_msg_id: u8,
        /// The text, user data header first where `esm_class` says so.
        short_message: ShortMessage,
        /// Optional parameters, Table 4-10.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Answers `submit_sm`. Absent when the status is an error. §4.4.2.
    SubmitSmResp {
        /// The SMSC's handle of the message.
        message_id: MessageId,
        /// None in 3.4; `congestion_state` from peers that know SMPP 5.0.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Hands one message for many destinations to the SMSC. §4.5.1.
    SubmitMulti {
        /// The service; empty for the default.
        service_type: COctets<6>,
        /// Type of number of the source.
        source_addr_ton: Ton,
        /// Numbering plan of the source.
        source_addr_npi: Npi,
        /// Who sends.
        source_addr: Address<21>,
        /// Who receive, with their count before them.
        dest_addresses: DestAddresses,
        /// Mode, type and features.
        esm_class: EsmClass,
        /// The network's protocol identifier.
        protocol_id: u8,
        /// Priority, 0 to 3.
        priority_flag: u8,
        /// When to deliver; empty for now.
        schedule_delivery_time: COctets<17>,
        /// When to give up; empty for the SMSC's default.
        validity_period: COctets<17>,
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery,
        /// Reserved, 0.
        replace_if_present_flag: u8,
        /// How the text is to be read.
        data_coding: DataCoding,
        /// A text that the SMSC keeps; 0 for none.
        sm_default_msg_id: u8,
        /// The text.
        short_message: ShortMessage,
        /// Optional parameters, Table 4-12.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Answers `submit_multi`. §4.5.2.
    SubmitMultiResp {
        /// The SMSC's handle of the message.
        message_id: MessageId,
        /// The destinations that were refused, with their count before them.
        unsuccess_smes: UnsuccessSmes,
        /// None in 3.4; `congestion_state` from peers that know SMPP 5.0.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Hands a message or a receipt to the ESME. §4.6.1.
    DeliverSm {
        /// The service; empty for the default.
        service_type: COctets<6>,
        /// Type of number of the source.
        source_addr_ton: Ton,
        /// Numbering plan of the source.
        source_addr_npi: Npi,
        /// Who sends.
        source_addr: Address<21>,
        /// Type of number of the destination.
        dest_addr_ton: Ton,
        /// Numbering plan of the destination.
        dest_addr_npi: Npi,
        /// Who receives.
        destination_addr: Address<21>,
        /// Type and features; the mode bits mean nothing here.
        esm_class: EsmClass,
        /// The network's protocol identifier.
        protocol_id: u8,
        /// Priority, 0 to 3.
        priority_flag: u8,
        /// Unused, empty.
        schedule_delivery_time: COctets<17>,
        /// Unused, empty.
        validity_period: COctets<17>,
        /// Which acknowledgements are wanted.
        registered_delivery: RegisteredDelivery,
        /// Unused, 0.
        replace_if_present_flag: u8,
        /// How the text is to be read.
        data_coding: DataCoding,
        /// Unused, 0.
        sm_default_msg_id: u8,
        /// The text, user data header first where `esm_class` says so.
        short_message: ShortMessage,
        /// Optional parameters, Table 4-18.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Answers `deliver_sm`. §4.6.2.
    DeliverSmResp {
        /// Unused, empty.
        message_id: MessageId,
        /// None in 3.4; `congestion_state` from peers that know SMPP 5.0.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Hands over a message in either direction, its text in `message_payload`. §4.7.1.
    DataSm {
        /// The service; empty for the default.
        service_type: COctets<6>,
        /// Type of number of the source.
        source_addr_ton: Ton,
        /// Numbering plan of the source.
        source_addr_npi: Npi,
        /// Who sends.
        source_addr: Address<65>,
        /// Type of number of the destination.
        dest_addr_ton: Ton,
        /// Numbering plan of the destination.
        dest_addr_npi: Npi,
        /// Who receives.
        destination_addr: Address<65>,
        /// Mode, type and features.
        esm_class: EsmClass,
        /// Which receipts are wanted.
        registered_delivery: RegisteredDelivery,
        /// How the text is to be read.
        data_coding: DataCoding,
        /// Optional parameters, Table 4-20.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Answers `data_sm`. §4.7.2.
    DataSmResp {
        /// The SMSC's handle of the message.
        message_id: MessageId,
        /// Why delivery failed, Table 4-21.
        tlvs: Tlvs,
    }
}

pdu! {
    /// Asks for the state of a message. §4.8.1.
    QuerySm {
        /// Which message.
        message_id: MessageId,
        /// Type of number of its source.
        source_addr_ton: Ton,
        /// Numbering plan of its source.
        source_addr_npi: Npi,
        /// Its source, as it was submitted.
        source_addr: Address<21>,
    }
}

pdu! {
    /// Answers `query_sm`. §4.8.2.
    QuerySmResp {
        /// Which message.
        message_id: MessageId,
        /// When it reached its final state; empty before.
        final_date: COctets<17>,
        /// Where it has got to.
        message_state: MessageState,
        /// The network's or the SMSC's reason for a failure; 0 for none.
        error_code: u8,
    }
}

pdu! {
    /// Cancels one message, or all that match where `message_id` is empty. §4.9.1.
    CancelSm {
        /// The service of the messages to cancel.
        service_type: COctets<6>,
        /// Which message; empty for all that match.
        message_id: MessageId,
        /// Type of number of the source.
        source_addr_ton: Ton,
        /// Numbering plan of the source.
        source_addr_npi: Npi,
        /// The source, as it was submitted.
        source_addr: Address<21>,
        /// Type of number of the destination.
        dest_addr_ton: Ton,
        /// Numbering plan of the destination.
        dest_addr_npi: Npi,
        /// The destination; may be empty where `message_id` is given.
        destination_addr: Address<21>,
    }
}

pdu! {
    /// Replaces a message that has not been delivered. §4.10.1.
    ReplaceSm {
        /// Which message.
        message_id: MessageId,
        /// Type of number of its source.
        source_addr_ton: Ton,
        /// Numbering plan of its source.
        source_addr_npi: Npi,
        /// Its source, as it was submitted.
        source_addr: Address<21>,
        /// The new time of delivery; empty to keep the old.
        schedule_delivery_time: COctets<17>,
        /// The new validity; empty to keep the old.
        validity_period: COctets<17>,
        /// Which receipts are wanted now.
        registered_delivery: RegisteredDelivery,
        /// A text that the SMSC keeps; 0 for none.
        sm_default_msg_id: u8,
        /// The new text.
        short_message: ShortMessage,
    }
}

pdu! {
    /// Says that a handset has become reachable. Has no answer. §4.12.1.
    AlertNotification {
        /// Type of number of the handset.
        source_addr_ton: Ton,
        /// Numbering plan of the handset.
        source_addr_npi: Npi,
        /// The handset.
        source_addr: Address<65>,
        /// Type of number of the ESME.
        esme_addr_ton: Ton,
        /// Numbering plan of the ESME.
        esme_addr_npi: Npi,
        /// The ESME that wanted to know.
        esme_addr: Address<65>,
        /// `ms_availability_status`.
        tlvs: Tlvs,
    }
}

/// Declares [`Body`]: one row per command, with its body where it has one.
macro_rules! bodies {
    ($($(#[$doc:meta])* $variant:ident $(($body:ty))? = $id:ident,)+) => {
        /// What a PDU says, header left out. A variant without a value is a PDU without a body.
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum Body {
            $($(#[$doc])* $variant $(($body))?,)+
        }

        impl Body {
            /// Which operation this is.
            #[must_use]
            pub const fn command_id(&self) -> CommandId {
                match self {
                    $(Self::$variant { .. } => CommandId::$id,)+
                }
            }

            /// The body of an operation with all its fields empty or 0; `None` for an operation
            /// that the standard does not know.
            #[must_use]
            pub fn empty(command_id: CommandId) -> Option<Self> {
                Some(match command_id {
                    $(CommandId::$id => Self::$variant $((<$body>::default()))?,)+
                    _ => return None,
                })
            }

            /// Whether the standard knows the operation and gives it no body.
            #[inline]
            pub(crate) const fn is_bare(command_id: CommandId) -> bool {
                match command_id {
                    $(CommandId::$id => bodies!(@is_bare $(($body))?),)+
                    _ => false,
                }
            }

            /// The body of an operation for which [`Body::is_bare`] holds; `None` for any other.
            #[inline]
            pub(crate) const fn bare(command_id: CommandId) -> Option<Self> {
                match command_id {
                    $(CommandId::$id => bodies!(@bare $variant $(($body))?),)+
                    _ => None,
                }
            }

            /// Reads the PDU with this `command_id` into its place.
            #[inline]
            pub(crate) fn read(
                command_id: CommandId,
                mut frame: Frame<'_, impl Source>,
                place: &mut Option<Inbound>,
            ) {
                match command_id {
                    $(CommandId::$id => bodies!(@read frame place $variant $(($body))?),)+
                    _ => *place = Some(Inbound::unknown(frame)),
                }
            }

            /// Appends the PDU to `out`.
            #[inline]
            pub(crate) fn write(pdu: &Pdu, out: &mut BytesMut) {
                match &pdu.body {
                    $($(Self::$variant(body) => {
                        <$body as Layout>::write(body, CommandId::$id, pdu, out);
                    })?)+
                    _ => pdu.header().write(out),
                }
            }
        }

        #[cfg(test)]
        impl proptest::arbitrary::Arbitrary for Body {
            type Parameters = ();
            type Strategy = proptest::strategy::BoxedStrategy<Self>;

            fn arbitrary_with((): ()) -> Self::Strategy {
                use proptest::strategy::{Strategy, Union};
                Union::new([$(bodies!(@any $variant $(($body))?)),+]).boxed()
            }
        }
    };
    (@any $variant:ident ($body:ty)) => {
        proptest::arbitrary::any::<$body>().prop_map(Self::$variant).boxed()
    };
    (@any $variant:ident) => { proptest::strategy::Just(Self::$variant).boxed() };
    (@is_bare ($body:ty)) => { false };
    (@is_bare) => { true };
    (@bare $variant:ident ($body:ty)) => { None };
    (@bare $variant:ident) => { Some(Self::$variant) };
    (@read $frame:ident $place:ident $variant:ident ($body:ty)) => {
        read($frame, $place, Self::$variant, |body: &mut Self| match body {
            Self::$variant(body) => Some(body),
            _ => None,
        })
    };
    (@read $frame:ident $place:ident $variant:ident) => {{
        let header = $frame.header().unwrap_or_default();
        *$place = Some(Inbound::pdu(header, Self::$variant));
        $frame.finish();
    }};
}

/// Reads a PDU with a body where it stays: moving it would take as long as reading it.
#[inline(never)]
fn read<B: Layout>(
    mut frame: Frame<'_, impl Source>,
    place: &mut Option<Inbound>,
    variant: impl FnOnce(B) -> Body,
    body_of: impl FnOnce(&mut Body) -> Option<&mut B>,
) {
    let header = frame.header().unwrap_or_default();
    let inbound = place.insert(Inbound::pdu(header, variant(B::default())));
    if let Inbound::Pdu(pdu) = inbound
        && let Some(body) = body_of(&mut pdu.body)
        && let Err(error) = body.read(&mut frame)
    {
        *inbound = Inbound::broken(header, frame.body().len(), error);
    }
    frame.finish();
}

/// Appends a PDU of few fields to `out`: put together in `whole`, which is all 0 and may never be
/// in memory, as the places of its fields are known when this is compiled.
#[inline]
fn write_few<B: Layout, const N: usize>(
    body: &B,
    header: Header,
    whole: &mut [u8; N],
    out: &mut BytesMut,
) {
    let start = out.len();
    let tail_len = body.tail_len();
    let len = put(body, header, tail_len, whole);
    out.extend_from_slice(whole);
    out.truncate(start.saturating_add(len));
    if tail_len > 0 {
        put_tail(body, out);
    }
}

/// Out of the way: what is not called in the middle of [`Layout::write`] takes no registers from it.
#[cold]
#[inline(never)]
fn make_room_and_write<B: Layout>(
    body: &B,
    command_id: CommandId,
    pdu: &Pdu,
    room: usize,
    out: &mut BytesMut,
) {
    out.reserve(room);
    body.write(command_id, pdu, out);
}

#[inline(never)]
fn put_tail<B: Layout>(body: &B, out: &mut BytesMut) {
    body.put_tail(out);
}

/// Appends a PDU to `out`: put together there.
#[inline]
fn write_many<B: Layout>(body: &B, header: Header, room: usize, out: &mut BytesMut) {
    let start = out.len();
    out.put_bytes(0, room);
    let tail_len = body.tail_len();
    let whole = out.get_mut(start..).unwrap_or_default();
    let len = put(body, header, tail_len, whole);
    out.truncate(start.saturating_add(len));
    if tail_len > 0 {
        put_tail(body, out);
    }
}

/// Writes header and body, but for its tails, to the front of a room that is made for them; gives
/// their length.
#[inline]
fn put<B: Layout>(body: &B, header: Header, tail_len: usize, whole: &mut [u8]) -> usize {
    let Some((head, rest)) = whole.split_first_chunk_mut() else {
        return 0;
    };
    let room = rest.len();
    let mut cursor = Cursor::new(rest);
    let put = body.put(&mut cursor);
    debug_assert!(put.is_some(), "room was made for every field");
    let len = HEADER_LEN.saturating_add(room.saturating_sub(cursor.left()));
    *head = header.octets(len.saturating_add(tail_len));
    len
}

/// Most tails are empty: that costs no more than to see it.
#[inline]
fn append(tail: &[u8], out: &mut BytesMut) {
    if !tail.is_empty() {
        out.extend_from_slice(tail);
    }
}

bodies! {
    /// `bind_receiver`, §4.1.3.
    BindReceiver(Bind) = BIND_RECEIVER,
    /// `bind_receiver_resp`, §4.1.4.
    BindReceiverResp(BindResp) = BIND_RECEIVER_RESP,
    /// `bind_transmitter`, §4.1.1.
    BindTransmitter(Bind) = BIND_TRANSMITTER,
    /// `bind_transmitter_resp`, §4.1.2.
    BindTransmitterResp(BindResp) = BIND_TRANSMITTER_RESP,
    /// `bind_transceiver`, §4.1.5.
    BindTransceiver(Bind) = BIND_TRANSCEIVER,
    /// `bind_transceiver_resp`, §4.1.6.
    BindTransceiverResp(BindResp) = BIND_TRANSCEIVER_RESP,
    /// outbind, §4.1.7.
    Outbind(Outbind) = OUTBIND,
    /// unbind, §4.2.1.
    Unbind = UNBIND,
    /// `unbind_resp`, §4.2.2.
    UnbindResp = UNBIND_RESP,
    /// `generic_nack`, §4.3.1.
    GenericNack = GENERIC_NACK,
    /// `submit_sm`, §4.4.1.
    SubmitSm(SubmitSm) = SUBMIT_SM,
    /// `submit_sm_resp`, §4.4.2.
    SubmitSmResp(SubmitSmResp) = SUBMIT_SM_RESP,
    /// `submit_multi`, §4.5.1.
    SubmitMulti(SubmitMulti) = SUBMIT_MULTI,
    /// `submit_multi_resp`, §4.5.2.
    SubmitMultiResp(SubmitMultiResp) = SUBMIT_MULTI_RESP,
    /// `deliver_sm`, §4.6.1.
    DeliverSm(DeliverSm) = DELIVER_SM,
    /// `deliver_sm_resp`, §4.6.2.
    DeliverSmResp(DeliverSmResp) = DELIVER_SM_RESP,
    /// `data_sm`, §4.7.1.
    DataSm(DataSm) = DATA_SM,
    /// `data_sm_resp`, §4.7.2.
    DataSmResp(DataSmResp) = DATA_SM_RESP,
    /// `query_sm`, §4.8.1.
    QuerySm(QuerySm) = QUERY_SM,
    /// `query_sm_resp`, §4.8.2.
    QuerySmResp(QuerySmResp) = QUERY_SM_RESP,
    /// `cancel_sm`, §4.9.1.
    CancelSm(CancelSm) = CANCEL_SM,
    /// `cancel_sm_resp`, §4.9.2.
    CancelSmResp = CANCEL_SM_RESP,
    /// `replace_sm`, §4.10.1.
    ReplaceSm(ReplaceSm) = REPLACE_SM,
    /// `replace_sm_resp`, §4.10.2.
    ReplaceSmResp = REPLACE_SM_RESP,
    /// `enquire_link`, §4.11.1.
    EnquireLink = ENQUIRE_LINK,
    /// `enquire_link_resp`, §4.11.2.
    EnquireLinkResp = ENQUIRE_LINK_RESP,
    /// `alert_notification`, §4.12.1.
    AlertNotification(AlertNotification) = ALERT_NOTIFICATION,
}
