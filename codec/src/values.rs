//! Open wire values: every number survives a round trip, the known ones have names.

/// Declares an open wire enum: one row per known value; unknown values are kept as they came.
macro_rules! wire_enum {
    (
        $(#[$doc:meta])*
        pub struct $name:ident($int:ty) {
            $($known:ident $(($wire:literal))? = $value:literal $row:literal,)*
        }
        $(by_name_only {
            $($other:ident ($other_wire:literal) = $other_value:literal $other_row:literal,)*
        })?
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name(pub $int);

        impl $name {
            $(
                #[doc = $row]
                pub const $known: Self = Self($value);
            )*

            $($(
                #[doc = $other_row]
                pub const $other: Self = Self($other_value);
            )*)?

            /// The values that are known by more than their name, in the standard's order.
            pub const KNOWN: &[Self] = &[$(Self::$known,)*];

            /// The standard's name of this value, where it has one.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 {
                    $($value => Some(wire_enum!(@name $known $($wire)?)),)*
                    $($($other_value => Some($other_wire),)*)?
                    _ => None,
                }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                std::fmt::Display::fmt(self, f)
            }
        }

        impl From<$int> for $name {
            fn from(value: $int) -> Self {
                Self(value)
            }
        }
    };
    (@name $known:ident $wire:literal) => { $wire };
    (@name $known:ident) => { stringify!($known) };
}

wire_enum! {
    /// Which operation a PDU carries. SMPP 3.4 §5.1.2.1.
    pub struct CommandId(u32) {
        BIND_RECEIVER("bind_receiver") = 0x0000_0001 "Opens a session that receives.",
        BIND_TRANSMITTER("bind_transmitter") = 0x0000_0002 "Opens a session that sends.",
        QUERY_SM("query_sm") = 0x0000_0003 "Asks for the state of a message.",
        SUBMIT_SM("submit_sm") = 0x0000_0004 "Hands a message to the SMSC.",
        DELIVER_SM("deliver_sm") = 0x0000_0005 "Hands a message or a receipt to the ESME.",
        UNBIND("unbind") = 0x0000_0006 "Ends the session.",
        REPLACE_SM("replace_sm") = 0x0000_0007 "Replaces a message that has not been delivered.",
        CANCEL_SM("cancel_sm") = 0x0000_0008 "Cancels messages that have not been delivered.",
        BIND_TRANSCEIVER("bind_transceiver") = 0x0000_0009 "Opens a session that does both.",
        OUTBIND("outbind") = 0x0000_000b "The SMSC asks the ESME to bind.",
        ENQUIRE_LINK("enquire_link") = 0x0000_0015 "Asks whether the other end is there.",
        SUBMIT_MULTI("submit_multi") = 0x0000_0021 "Hands one message for many destinations to the SMSC.",
        ALERT_NOTIFICATION("alert_notification") = 0x0000_0102 "Says that a handset is reachable.",
        DATA_SM("data_sm") = 0x0000_0103 "Hands over a message, its text in a TLV.",
        GENERIC_NACK("generic_nack") = 0x8000_0000 "Refuses a PDU that could not be understood.",
        BIND_RECEIVER_RESP("bind_receiver_resp") = 0x8000_0001 "Answers `bind_receiver`.",
        BIND_TRANSMITTER_RESP("bind_transmitter_resp") = 0x8000_0002 "Answers `bind_transmitter`.",
        QUERY_SM_RESP("query_sm_resp") = 0x8000_0003 "Answers `query_sm`.",
        SUBMIT_SM_RESP("submit_sm_resp") = 0x8000_0004 "Answers `submit_sm`.",
        DELIVER_SM_RESP("deliver_sm_resp") = 0x8000_0005 "Answers `deliver_sm`.",
        UNBIND_RESP("unbind_resp") = 0x8000_0006 "Answers unbind.",
        REPLACE_SM_RESP("replace_sm_resp") = 0x8000_0007 "Answers `replace_sm`.",
        CANCEL_SM_RESP("cancel_sm_resp") = 0x8000_0008 "Answers `cancel_sm`.",
        BIND_TRANSCEIVER_RESP("bind_transceiver_resp") = 0x8000_0009 "Answers `bind_transceiver`.",
        ENQUIRE_LINK_RESP("enquire_link_resp") = 0x8000_0015 "Answers `enquire_link`.",
        SUBMIT_MULTI_RESP("submit_multi_resp") = 0x8000_0021 "Answers `submit_multi`.",
        DATA_SM_RESP("data_sm_resp") = 0x8000_0103 "Answers `data_sm`.",
    }
    by_name_only {
        BROADCAST_SM("broadcast_sm") = 0x0000_0111 "Hands a cell broadcast to the SMSC (SMPP 5.0 §4.4.1).",
        QUERY_BROADCAST_SM("query_broadcast_sm") = 0x0000_0112 "Asks for the state of a cell broadcast (SMPP 5.0 §4.6.1).",
        CANCEL_BROADCAST_SM("cancel_broadcast_sm") = 0x0000_0113 "Cancels a cell broadcast (SMPP 5.0 §4.6.2).",
        BROADCAST_SM_RESP("broadcast_sm_resp") = 0x8000_0111 "Answers `broadcast_sm`.",
        QUERY_BROADCAST_SM_RESP("query_broadcast_sm_resp") = 0x8000_0112 "Answers `query_broadcast_sm`.",
        CANCEL_BROADCAST_SM_RESP("cancel_broadcast_sm_resp") = 0x8000_0113 "Answers `cancel_broadcast_sm`.",
    }
}

impl CommandId {
    const RESPONSE_BIT: u32 = 0x8000_0000;

    /// Whether this is a response (`generic_nack` included), known or not.
    #[must_use]
    pub const fn is_response(self) -> bool {
        self.0 & Self::RESPONSE_BIT != 0
    }

    /// Whether this is `enquire_link` or its response, told at once.
    #[inline]
    pub(crate) const fn is_keep_alive(self) -> bool {
        self.0 | Self::RESPONSE_BIT == Self::ENQUIRE_LINK_RESP.0
    }

    /// The response that answers this request; `None` for responses and for the requests that
    /// have no answer (outbind §4.1.7, `alert_notification` §4.12). Unknown requests get the
    /// id that the numbering rule gives them.
    #[must_use]
    pub fn response(self) -> Option<Self> {
        let unanswered = self.is_response()
            || matches!(self, Self::OUTBIND | Self::ALERT_NOTIFICATION | Self(0));
        (!unanswered).then_some(Self(self.0 | Self::RESPONSE_BIT))
    }
}

wire_enum! {
    /// What the answering end says about a request. SMPP 3.4 §5.1.3, from 0x100 on SMPP 5.0 §4.7.6;
    /// vendors use 0x400..=0x4ff.
    pub struct CommandStatus(u32) {
        ESME_ROK = 0x00 "No error.",
        ESME_RINVMSGLEN = 0x01 "The message length is invalid.",
        ESME_RINVCMDLEN = 0x02 "The command length is invalid.",
        ESME_RINVCMDID = 0x03 "The command id is invalid.",
        ESME_RINVBNDSTS = 0x04 "The session is not in a state for this command.",
        ESME_RALYBND = 0x05 "The ESME is bound already.",
        ESME_RINVPRTFLG = 0x06 "The priority flag is invalid.",
        ESME_RINVREGDLVFLG = 0x07 "The registered delivery flag is invalid.",
        ESME_RSYSERR = 0x08 "System error.",
        ESME_RINVSRCADR = 0x0a "The source address is invalid.",
        ESME_RINVDSTADR = 0x0b "The destination address is invalid.",
        ESME_RINVMSGID = 0x0c "The message id is invalid.",
        ESME_RBINDFAIL = 0x0d "The bind failed.",
        ESME_RINVPASWD = 0x0e "The password is wrong.",
        ESME_RINVSYSID = 0x0f "The system id is invalid.",
        ESME_RCANCELFAIL = 0x11 "`cancel_sm` failed.",
        ESME_RREPLACEFAIL = 0x13 "`replace_sm` failed.",
        ESME_RMSGQFUL = 0x14 "The message queue is full.",
        ESME_RINVSERTYP = 0x15 "The service type is invalid.",
        ESME_RINVNUMDESTS = 0x33 "The number of destinations is invalid.",
        ESME_RINVDLNAME = 0x34 "The distribution list name is invalid.",
        ESME_RINVDESTFLAG = 0x40 "The destination flag is invalid (`submit_multi`).",
        ESME_RINVSUBREP = 0x42 "Submit with replace is invalid or not supported here.",
        ESME_RINVESMCLASS = 0x43 "The `esm_class` is invalid.",
        ESME_RCNTSUBDL = 0x44 "Cannot submit to a distribution list.",
        ESME_RSUBMITFAIL = 0x45 "`submit_sm` or `submit_multi` failed.",
        ESME_RINVSRCTON = 0x48 "The source type of number is invalid.",
        ESME_RINVSRCNPI = 0x49 "The source numbering plan is invalid.",
        ESME_RINVDSTTON = 0x50 "The destination type of number is invalid.",
        ESME_RINVDSTNPI = 0x51 "The destination numbering plan is invalid.",
        ESME_RINVSYSTYP = 0x53 "The system type is invalid.",
        ESME_RINVREPFLAG = 0x54 "The `replace_if_present` flag is invalid.",
        ESME_RINVNUMMSGS = 0x55 "The number of messages is invalid.",
        ESME_RTHROTTLED = 0x58 "The ESME sends faster than it may.",
        ESME_RINVSCHED = 0x61 "The scheduled delivery time is invalid.",
        ESME_RINVEXPIRY = 0x62 "The validity period is invalid.",
        ESME_RINVDFTMSGID = 0x63 "The predefined message is invalid or not found.",
        ESME_RX_T_APPN = 0x64 "The receiving ESME has a temporary error.",
        ESME_RX_P_APPN = 0x65 "The receiving ESME has a permanent error.",
        ESME_RX_R_APPN = 0x66 "The receiving ESME rejects the message.",
        ESME_RQUERYFAIL = 0x67 "`query_sm` failed.",
        ESME_RINVOPTPARSTREAM = 0xc0 "The optional part of the PDU is broken.",
        ESME_ROPTPARNOTALLWD = 0xc1 "An optional parameter is not allowed here.",
        ESME_RINVPARLEN = 0xc2 "A parameter has an invalid length.",
        ESME_RMISSINGOPTPARAM = 0xc3 "An optional parameter that is needed is missing.",
        ESME_RINVOPTPARAMVAL = 0xc4 "An optional parameter has an invalid value.",
        ESME_RDELIVERYFAILURE = 0xfe "Delivery failed (`data_sm_resp`).",
        ESME_RUNKNOWNERR = 0xff "Unknown error.",
        ESME_RSERTYPUNAUTH = 0x100 "The ESME may not use this service type (SMPP 5.0).",
        ESME_RPROHIBITED = 0x101 "The ESME may not use this operation (SMPP 5.0).",
        ESME_RSERTYPUNAVAIL = 0x102 "The service type is unavailable (SMPP 5.0).",
        ESME_RSERTYPDENIED = 0x103 "The service type is denied (SMPP 5.0).",
        ESME_RINVDCS = 0x104 "The `data_coding` is invalid (SMPP 5.0).",
        ESME_RINVSRCADDRSUBUNIT = 0x105 "The source address subunit is invalid (SMPP 5.0).",
        ESME_RINVDSTADDRSUBUNIT = 0x106 "The destination address subunit is invalid (SMPP 5.0).",
        ESME_RINVBCASTFREQINT = 0x107 "The broadcast frequency interval is invalid (SMPP 5.0).",
        ESME_RINVBCASTALIAS_NAME = 0x108 "The broadcast alias name is invalid (SMPP 5.0).",
        ESME_RINVBCASTAREAFMT = 0x109 "The broadcast area format is invalid (SMPP 5.0).",
        ESME_RINVNUMBCAST_AREAS = 0x10a "The number of broadcast areas is invalid (SMPP 5.0).",
        ESME_RINVBCASTCNTTYPE = 0x10b "The broadcast content type is invalid (SMPP 5.0).",
        ESME_RINVBCASTMSGCLASS = 0x10c "The broadcast message class is invalid (SMPP 5.0).",
        ESME_RBCASTFAIL = 0x10d "`broadcast_sm` failed (SMPP 5.0).",
        ESME_RBCASTQUERYFAIL = 0x10e "`query_broadcast_sm` failed (SMPP 5.0).",
        ESME_RBCASTCANCELFAIL = 0x10f "`cancel_broadcast_sm` failed (SMPP 5.0).",
        ESME_RINVBCAST_REP = 0x110 "The number of repeated broadcasts is invalid (SMPP 5.0).",
        ESME_RINVBCASTSRVGRP = 0x111 "The broadcast service group is invalid (SMPP 5.0).",
        ESME_RINVBCASTCHANIND = 0x112 "The broadcast channel indicator is invalid (SMPP 5.0).",
    }
}

impl CommandStatus {
    /// Whether the request was taken.
    #[must_use]
    pub const fn is_ok(self) -> bool {
        self.0 == 0
    }
}

wire_enum! {
    /// Type of number. SMPP 3.4 §5.2.5.
    pub struct Ton(u8) {
        UNKNOWN = 0x00 "Unknown.",
        INTERNATIONAL = 0x01 "International number.",
        NATIONAL = 0x02 "National number.",
        NETWORK_SPECIFIC = 0x03 "Network specific, often a shortcode.",
        SUBSCRIBER_NUMBER = 0x04 "Subscriber number.",
        ALPHANUMERIC = 0x05 "A name in letters.",
        ABBREVIATED = 0x06 "Abbreviated number.",
    }
}

wire_enum! {
    /// Numbering plan indicator. SMPP 3.4 §5.2.6.
    pub struct Npi(u8) {
        UNKNOWN = 0x00 "Unknown.",
        ISDN = 0x01 "ISDN, E.163 and E.164.",
        DATA = 0x03 "Data, X.121.",
        TELEX = 0x04 "Telex, F.69.",
        LAND_MOBILE = 0x06 "Land mobile, E.212.",
        NATIONAL = 0x08 "National.",
        PRIVATE = 0x09 "Private.",
        ERMES = 0x0a "ERMES.",
        INTERNET = 0x0e "Internet address.",
        WAP_CLIENT_ID = 0x12 "WAP client id.",
    }
}

wire_enum! {
    /// How the text octets are to be read. SMPP 3.4 §5.2.19; 0xc0..=0xff follow GSM 03.38.
    pub struct DataCoding(u8) {
        GSM_DEFAULT = 0x00 "The SMSC's default alphabet, read as GSM 03.38 here.",
        IA5 = 0x01 "IA5, which is ASCII.",
        OCTETS_TDMA = 0x02 "Octets, unspecified (TDMA).",
        LATIN1 = 0x03 "ISO-8859-1.",
        OCTETS = 0x04 "Octets, unspecified.",
        JIS = 0x05 "JIS X 0208-1990.",
        CYRILLIC = 0x06 "ISO-8859-5.",
        HEBREW = 0x07 "ISO-8859-8.",
        UCS2 = 0x08 "UCS-2 big-endian; in practice UTF-16.",
        PICTOGRAM = 0x09 "Pictogram encoding.",
        ISO_2022_JP = 0x0a "ISO-2022-JP, music codes.",
        EXTENDED_KANJI = 0x0d "JIS X 0212-1990.",
        KS_C_5601 = 0x0e "KS C 5601.",
    }
}

wire_enum! {
    /// Where a message has got to. SMPP 3.4 §5.2.28.
    pub struct MessageState(u8) {
        ENROUTE = 0x01 "On its way.",
        DELIVERED = 0x02 "Delivered to its destination.",
        EXPIRED = 0x03 "Its validity period ended.",
        DELETED = 0x04 "Deleted.",
        UNDELIVERABLE = 0x05 "Cannot be delivered.",
        ACCEPTED = 0x06 "Accepted, read by customer service on the subscriber's behalf.",
        UNKNOWN = 0x07 "In an invalid state.",
        REJECTED = 0x08 "Rejected.",
    }
}

impl MessageState {
    /// Whether nothing more will happen to a message in this state. ENROUTE, ACCEPTED, UNKNOWN and
    /// numbers that the standard does not know are not final.
    #[must_use]
    pub const fn is_final(self) -> bool {
        matches!(
            self,
            Self::DELIVERED | Self::EXPIRED | Self::DELETED | Self::UNDELIVERABLE | Self::REJECTED
        )
    }
}

wire_enum! {
    /// The SMPP version an end speaks. SMPP 3.4 §5.2.4; 0x00..=0x33 is version 3.3 or older.
    pub struct InterfaceVersion(u8) {
        V3_3("3.3") = 0x33 "Version 3.3: no TLVs, no transceiver.",
        V3_4("3.4") = 0x34 "Version 3.4.",
        V5_0("5.0") = 0x50 "Version 5.0.",
    }
}

wire_enum! {
    /// Message mode, message type and features, as bits. SMPP 3.4 §5.2.12.
    pub struct EsmClass(u8) {
        DEFAULT = 0x00 "The SMSC's default mode, an ordinary message.",
        DATAGRAM = 0x01 "Mode: datagram.",
        FORWARD = 0x02 "Mode: forward (transaction).",
        STORE_AND_FORWARD = 0x03 "Mode: store and forward.",
        RECEIPT = 0x04 "Type: a delivery receipt of the SMSC.",
        DELIVERY_ACK = 0x08 "Type: a delivery acknowledgement of the other SME.",
        USER_ACK = 0x10 "Type: a manual acknowledgement of the user.",
        CONVERSATION_ABORT = 0x18 "Type: conversation abort (Korean CDMA).",
        INTERMEDIATE = 0x20 "Type: an intermediate notification.",
        UDHI = 0x40 "Feature: the text begins with a user data header.",
        REPLY_PATH = 0x80 "Feature: reply path is set.",
    }
}

impl EsmClass {
    const MODE_BITS: u8 = 0b0000_0011;
    const TYPE_BITS: u8 = 0b0011_1100;

    /// The message mode alone; means nothing in a `deliver_sm`.
    #[must_use]
    pub const fn mode(self) -> Self {
        Self(self.0 & Self::MODE_BITS)
    }

    /// The message type alone, to compare with [`Self::RECEIPT`] and its siblings.
    #[must_use]
    pub const fn message_type(self) -> Self {
        Self(self.0 & Self::TYPE_BITS)
    }

    /// Whether the text begins with a user data header (GSM 03.40 §9.2.3.23).
    #[must_use]
    pub const fn udhi(self) -> bool {
        self.0 & Self::UDHI.0 != 0
    }

    /// Whether reply path is set.
    #[must_use]
    pub const fn reply_path(self) -> bool {
        self.0 & Self::REPLY_PATH.0 != 0
    }
}

impl std::ops::BitOr for EsmClass {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

wire_enum! {
    /// Which receipts the sender wants, as bits. SMPP 3.4 §5.2.17.
    pub struct RegisteredDelivery(u8) {
        NONE = 0x00 "None.",
        RECEIPT = 0x01 "A receipt for the final outcome.",
        RECEIPT_ON_FAILURE = 0x02 "A receipt when delivery fails.",
        RECEIPT_ON_SUCCESS = 0x03 "A receipt when delivery succeeds (SMPP 5.0).",
        DELIVERY_ACK = 0x04 "A delivery acknowledgement of the other SME.",
        USER_ACK = 0x08 "A manual acknowledgement of the user.",
        BOTH_ACKS = 0x0c "Both acknowledgements.",
        INTERMEDIATE = 0x10 "Intermediate notifications.",
    }
}

impl RegisteredDelivery {
    const RECEIPT_BITS: u8 = 0b0000_0011;

    /// The receipt request alone, acknowledgement and notification bits removed.
    #[must_use]
    pub const fn receipt(self) -> Self {
        Self(self.0 & Self::RECEIPT_BITS)
    }

    /// Whether the sender is owed a receipt for an outcome: `delivered` or not.
    #[must_use]
    pub const fn wants_receipt(self, delivered: bool) -> bool {
        match self.receipt() {
            Self::RECEIPT => true,
            Self::RECEIPT_ON_FAILURE => !delivered,
            Self::RECEIPT_ON_SUCCESS => delivered,
            _ => false,
        }
    }

    /// The request for acknowledgements of the other SME alone.
    #[must_use]
    pub const fn acknowledgements(self) -> Self {
        Self(self.0 & Self::BOTH_ACKS.0)
    }

    /// Whether intermediate notifications are wanted.
    #[must_use]
    pub const fn wants_intermediate(self) -> bool {
        self.0 & Self::INTERMEDIATE.0 != 0
    }
}

impl std::ops::BitOr for RegisteredDelivery {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

wire_enum! {
    /// Which optional parameter a TLV carries. SMPP 3.4 §5.3.2; vendors use 0x1400..=0x3fff.
    pub struct TlvTag(u16) {
        DEST_ADDR_SUBUNIT("dest_addr_subunit") = 0x0005 "One octet, §5.3.2.1.",
        DEST_NETWORK_TYPE("dest_network_type") = 0x0006 "One octet, §5.3.2.3.",
        DEST_BEARER_TYPE("dest_bearer_type") = 0x0007 "One octet, §5.3.2.5.",
        DEST_TELEMATICS_ID("dest_telematics_id") = 0x0008 "Two octets, §5.3.2.7.",
        SOURCE_ADDR_SUBUNIT("source_addr_subunit") = 0x000d "One octet, §5.3.2.2.",
        SOURCE_NETWORK_TYPE("source_network_type") = 0x000e "One octet, §5.3.2.4.",
        SOURCE_BEARER_TYPE("source_bearer_type") = 0x000f "One octet, §5.3.2.6.",
        SOURCE_TELEMATICS_ID("source_telematics_id") = 0x0010 "One octet, §5.3.2.8.",
        QOS_TIME_TO_LIVE("qos_time_to_live") = 0x0017 "Four octets, seconds, §5.3.2.9.",
        PAYLOAD_TYPE("payload_type") = 0x0019 "One octet, §5.3.2.10.",
        ADDITIONAL_STATUS_INFO_TEXT("additional_status_info_text") = 0x001d
            "C-octet string of 1 to 256 octets, §5.3.2.11.",
        RECEIPTED_MESSAGE_ID("receipted_message_id") = 0x001e
            "C-octet string of 1 to 65 octets, §5.3.2.12.",
        MS_MSG_WAIT_FACILITIES("ms_msg_wait_facilities") = 0x0030 "One octet, §5.3.2.13.",
        PRIVACY_INDICATOR("privacy_indicator") = 0x0201 "One octet, §5.3.2.14.",
        SOURCE_SUBADDRESS("source_subaddress") = 0x0202 "2 to 23 octets, §5.3.2.15.",
        DEST_SUBADDRESS("dest_subaddress") = 0x0203 "2 to 23 octets, §5.3.2.16.",
        USER_MESSAGE_REFERENCE("user_message_reference") = 0x0204 "Two octets, §5.3.2.17.",
        USER_RESPONSE_CODE("user_response_code") = 0x0205 "One octet, §5.3.2.18.",
        SOURCE_PORT("source_port") = 0x020a "Two octets, §5.3.2.20.",
        DESTINATION_PORT("destination_port") = 0x020b "Two octets, §5.3.2.21.",
        SAR_MSG_REF_NUM("sar_msg_ref_num") = 0x020c "Two octets, §5.3.2.22.",
        LANGUAGE_INDICATOR("language_indicator") = 0x020d "One octet, §5.3.2.19.",
        SAR_TOTAL_SEGMENTS("sar_total_segments") = 0x020e "One octet, §5.3.2.23.",
        SAR_SEGMENT_SEQNUM("sar_segment_seqnum") = 0x020f "One octet, §5.3.2.24.",
        SC_INTERFACE_VERSION("sc_interface_version") = 0x0210 "One octet, §5.3.2.25.",
        CALLBACK_NUM_PRES_IND("callback_num_pres_ind") = 0x0302 "One octet, §5.3.2.37.",
        CALLBACK_NUM_ATAG("callback_num_atag") = 0x0303 "Up to 65 octets, §5.3.2.38.",
        NUMBER_OF_MESSAGES("number_of_messages") = 0x0304 "One octet, §5.3.2.39.",
        CALLBACK_NUM("callback_num") = 0x0381 "4 to 19 octets, §5.3.2.36.",
        DPF_RESULT("dpf_result") = 0x0420 "One octet, §5.3.2.28.",
        SET_DPF("set_dpf") = 0x0421 "One octet, §5.3.2.29.",
        MS_AVAILABILITY_STATUS("ms_availability_status") = 0x0422 "One octet, §5.3.2.30.",
        NETWORK_ERROR_CODE("network_error_code") = 0x0423 "Three octets, §5.3.2.31.",
        MESSAGE_PAYLOAD("message_payload") = 0x0424 "The text, §5.3.2.32.",
        DELIVERY_FAILURE_REASON("delivery_failure_reason") = 0x0425 "One octet, §5.3.2.33.",
        MORE_MESSAGES_TO_SEND("more_messages_to_send") = 0x0426 "One octet, §5.3.2.34.",
        MESSAGE_STATE("message_state") = 0x0427 "One octet, §5.3.2.35.",
        CONGESTION_STATE("congestion_state") = 0x0428 "One octet, 0 to 100, SMPP 5.0 §4.8.4.18.",
        USSD_SERVICE_OP("ussd_service_op") = 0x0501 "One octet, §5.3.2.44.",
        DISPLAY_TIME("display_time") = 0x1201 "One octet, §5.3.2.26.",
        SMS_SIGNAL("sms_signal") = 0x1203 "Two octets, §5.3.2.40.",
        MS_VALIDITY("ms_validity") = 0x1204 "One octet, §5.3.2.27.",
        ALERT_ON_MESSAGE_DELIVERY("alert_on_message_delivery") = 0x130c "Empty, §5.3.2.41.",
        ITS_REPLY_TYPE("its_reply_type") = 0x1380 "One octet, §5.3.2.42.",
        ITS_SESSION_INFO("its_session_info") = 0x1383 "Two octets, §5.3.2.43.",
    }
    by_name_only {
        BROADCAST_CHANNEL_INDICATOR("broadcast_channel_indicator") = 0x0600 "SMPP 5.0 §4.8.4.",
        BROADCAST_CONTENT_TYPE("broadcast_content_type") = 0x0601 "SMPP 5.0 §4.8.4.",
        BROADCAST_CONTENT_TYPE_INFO("broadcast_content_type_info") = 0x0602 "SMPP 5.0 §4.8.4.",
        BROADCAST_MESSAGE_CLASS("broadcast_message_class") = 0x0603 "SMPP 5.0 §4.8.4.",
        BROADCAST_REP_NUM("broadcast_rep_num") = 0x0604 "SMPP 5.0 §4.8.4.",
        BROADCAST_FREQUENCY_INTERVAL("broadcast_frequency_interval") = 0x0605 "SMPP 5.0 §4.8.4.",
        BROADCAST_AREA_IDENTIFIER("broadcast_area_identifier") = 0x0606 "SMPP 5.0 §4.8.4.",
        BROADCAST_ERROR_STATUS("broadcast_error_status") = 0x0607 "SMPP 5.0 §4.8.4.",
        BROADCAST_AREA_SUCCESS("broadcast_area_success") = 0x0608 "SMPP 5.0 §4.8.4.",
        BROADCAST_END_TIME("broadcast_end_time") = 0x0609 "SMPP 5.0 §4.8.4.",
        BROADCAST_SERVICE_GROUP("broadcast_service_group") = 0x060a "SMPP 5.0 §4.8.4.",
        BILLING_IDENTIFICATION("billing_identification") = 0x060b "SMPP 5.0 §4.8.4.",
        SOURCE_NETWORK_ID("source_network_id") = 0x060d "SMPP 5.0 §4.8.4.",
        DEST_NETWORK_ID("dest_network_id") = 0x060e "SMPP 5.0 §4.8.4.",
        SOURCE_NODE_ID("source_node_id") = 0x060f "SMPP 5.0 §4.8.4.",
        DEST_NODE_ID("dest_node_id") = 0x0610 "SMPP 5.0 §4.8.4.",
        DEST_ADDR_NP_RESOLUTION("dest_addr_np_resolution") = 0x0611 "SMPP 5.0 §4.8.4.",
        DEST_ADDR_NP_INFORMATION("dest_addr_np_information") = 0x0612 "SMPP 5.0 §4.8.4.",
        DEST_ADDR_NP_COUNTRY("dest_addr_np_country") = 0x0613 "SMPP 5.0 §4.8.4.",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_values_keep_their_number_and_print_as_hex() {
        let vendor = CommandStatus(0x0400);
        assert_eq!(vendor.name(), None);
        assert_eq!(format!("{vendor:?}"), "0x400");
        assert_eq!(
            format!("{}", CommandStatus::ESME_RTHROTTLED),
            "ESME_RTHROTTLED"
        );
    }

    #[test]
    fn every_request_but_outbind_and_alert_notification_has_a_known_response() {
        for id in CommandId::KNOWN.iter().filter(|id| !id.is_response()) {
            match id.response() {
                Some(response) => assert!(response.name().is_some(), "{id}"),
                None => assert!([CommandId::OUTBIND, CommandId::ALERT_NOTIFICATION].contains(id)),
            }
        }
    }

    #[test]
    fn what_smpp_5_adds_is_known_by_name_and_not_taken_for_3_4() {
        assert_eq!(CommandId(0x111).to_string(), "broadcast_sm");
        assert_eq!(
            CommandId::BROADCAST_SM.response(),
            Some(CommandId::BROADCAST_SM_RESP)
        );
        assert!(!CommandId::KNOWN.contains(&CommandId::BROADCAST_SM));
        assert_eq!(CommandStatus(0x112).to_string(), "ESME_RINVBCASTCHANIND");
        assert_eq!(TlvTag(0x0613).to_string(), "dest_addr_np_country");
        assert_eq!(TlvTag(0x0428).to_string(), "congestion_state");
    }

    #[test]
    fn every_status_of_3_4_has_its_name() {
        let of_3_4 = [
            0x00, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x0a, 0x0b, 0x0c, 0x0d, 0x0e,
            0x0f, 0x11, 0x13, 0x14, 0x15, 0x33, 0x34, 0x40, 0x42, 0x43, 0x44, 0x45, 0x48, 0x49,
            0x50, 0x51, 0x53, 0x54, 0x55, 0x58, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67, 0xc0,
            0xc1, 0xc2, 0xc3, 0xc4, 0xfe, 0xff,
        ];
        let known = CommandStatus::KNOWN.iter().map(|status| status.0);
        assert_eq!(
            known.filter(|number| *number < 0x100).collect::<Vec<_>>(),
            of_3_4
        );
    }

    #[test]
    fn responses_have_no_response() {
        assert_eq!(CommandId::SUBMIT_SM_RESP.response(), None);
        assert_eq!(CommandId::GENERIC_NACK.response(), None);
    }

    #[test]
    fn the_statuses_that_other_codecs_get_wrong_have_the_standards_numbers() {
        assert_eq!(CommandStatus::ESME_RINVSRCNPI.0, 0x49);
        assert_eq!(CommandStatus::ESME_RINVDSTTON.0, 0x50);
        assert_eq!(CommandStatus::ESME_RINVDSTNPI.0, 0x51);
    }

    #[test]
    fn the_parts_of_any_octet_make_it_up_again() {
        for octet in 0..=u8::MAX {
            let whole = EsmClass(octet);
            let features = EsmClass(octet & 0xc0);
            assert_eq!(whole.mode() | whole.message_type() | features, whole);
            assert_eq!(
                u8::from(features.udhi()) * 0x40 + u8::from(features.reply_path()) * 0x80,
                features.0
            );
            let wanted = RegisteredDelivery(octet);
            assert_eq!(
                wanted.receipt() | wanted.acknowledgements() | RegisteredDelivery(octet & 0xf0),
                wanted
            );
        }
    }

    #[test]
    fn esm_class_separates_mode_type_and_features() {
        let esm_class = EsmClass(0x47);
        assert_eq!(esm_class.mode(), EsmClass::STORE_AND_FORWARD);
        assert_eq!(esm_class.message_type(), EsmClass::RECEIPT);
        assert!(esm_class.udhi());
        assert!(!esm_class.reply_path());
    }

    #[test]
    fn registered_delivery_asks_for_the_receipts_that_its_bits_say() {
        assert!(RegisteredDelivery::RECEIPT.wants_receipt(true));
        assert!(!RegisteredDelivery::RECEIPT_ON_FAILURE.wants_receipt(true));
        assert!(RegisteredDelivery::RECEIPT_ON_FAILURE.wants_receipt(false));
        assert!(!RegisteredDelivery::NONE.wants_receipt(false));
        let both = RegisteredDelivery::RECEIPT | RegisteredDelivery::INTERMEDIATE;
        assert!(both.wants_receipt(false) && both.wants_intermediate());
    }
}
