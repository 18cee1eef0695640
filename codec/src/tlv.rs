//! Optional parameters. SMPP 3.4 §3.2.4 and §5.3.

use std::fmt;

use bytes::Bytes;

use crate::field::{
    Cursor, Field, FieldError, Frame, OctetsError, Part, Place, Source, Taken, length_octet,
    take_tlv,
};
use crate::octets::MessageId;
use crate::values::{InterfaceVersion, MessageState, TlvTag};

/// One optional parameter, borrowed from its [`Tlvs`]. `Debug` shows the length of the value only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// What it is.
    pub tag: TlvTag,
    /// Its value, uninterpreted.
    pub value: &'a [u8],
}

impl fmt::Debug for Tlv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}[{} octets]", self.tag, self.value.len())
    }
}

/// The optional parameters of one PDU, in the order of the wire; unknown ones, vendors' ones and
/// repeated ones stay as they came.
///
/// A typed getter gives the first parameter of its tag, and `None` where there is none or where
/// its length is not the standard's. A typed setter replaces all parameters of its tag.
#[derive(Clone, Default)]
pub struct Tlvs(Repr);

/// Tags, lengths and values as on the wire, checked to be whole.
#[derive(Clone)]
enum Repr {
    /// Few octets, whether decoded or built.
    Inline(Few),
    /// Decoded: a slice of the frame.
    Frame(Bytes),
    /// Built here.
    Built(Vec<u8>),
}

/// Octets kept inline. To copy them costs less than to share the frame a second time. Aligned as its
/// siblings are, so that a [`Repr`] moves by words.
#[derive(Clone)]
#[repr(align(8))]
struct Few {
    len: u8,
    octets: [u8; MAX_INLINE],
}

/// Enough for those of most receipts and segments, and as many as make a `Tlvs` 64 octets.
const MAX_INLINE: usize = 55;

impl Few {
    const EMPTY: Self = Self {
        len: 0,
        octets: [0; MAX_INLINE],
    };

    #[inline]
    fn as_bytes(&self) -> &[u8] {
        self.octets.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Adds octets where they fit; whether they did.
    #[inline]
    fn add(&mut self, added: &[u8]) -> bool {
        let start = usize::from(self.len);
        let end = start.saturating_add(added.len());
        let Some(place) = self.octets.get_mut(start..end) else {
            return false;
        };
        place.copy_from_slice(added);
        self.len = length_octet(end);
        true
    }
}

impl Repr {
    /// Adds octets where they are kept inline and fit; whether they did.
    #[inline]
    fn add_inline(&mut self, added: &[u8]) -> bool {
        match self {
            Self::Inline(few) => few.add(added),
            Self::Frame(_) | Self::Built(_) => false,
        }
    }
}

impl Default for Repr {
    #[inline]
    fn default() -> Self {
        Self::Inline(Few::EMPTY)
    }
}

impl Tlvs {
    /// The longest value that a length of two octets can name.
    pub const MAX_VALUE_LEN: usize = 65_535;

    /// All parameters as they are on the wire.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0 {
            Repr::Inline(few) => few.as_bytes(),
            Repr::Frame(bytes) => bytes,
            Repr::Built(octets) => octets,
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.as_bytes().is_empty()
    }

    /// All parameters in the order of the wire.
    #[must_use]
    pub fn iter(&self) -> TlvIter<'_> {
        TlvIter {
            rest: self.as_bytes(),
        }
    }

    /// The value of the first parameter with this tag.
    #[must_use]
    pub fn get(&self, tag: TlvTag) -> Option<&[u8]> {
        self.iter().find(|tlv| tlv.tag == tag).map(|tlv| tlv.value)
    }

    /// The value of the first parameter with this tag: a slice of the frame where it came in one and
    /// is more than a few octets.
    #[must_use]
    pub fn get_bytes(&self, tag: TlvTag) -> Option<Bytes> {
        let value = self.get(tag)?;
        Some(match &self.0 {
            Repr::Frame(frame) => frame.slice_ref(value),
            Repr::Inline(_) | Repr::Built(_) => Bytes::copy_from_slice(value),
        })
    }

    /// Adds a parameter behind the others, repeated or not.
    pub fn push(&mut self, tag: TlvTag, value: &[u8]) -> Result<(), OctetsError> {
        let too_long = OctetsError::TooLong {
            max: Self::MAX_VALUE_LEN,
        };
        let length = u16::try_from(value.len()).map_err(|_| too_long)?;
        let [tag_high, tag_low] = tag.0.to_be_bytes();
        let [length_high, length_low] = length.to_be_bytes();
        self.add([tag_high, tag_low, length_high, length_low], value);
        Ok(())
    }

    /// Makes this the only parameter of its tag.
    pub fn set(&mut self, tag: TlvTag, value: &[u8]) -> Result<(), OctetsError> {
        self.remove(tag);
        self.push(tag, value)
    }

    /// Takes away all parameters with this tag; says whether there were any.
    pub fn remove(&mut self, tag: TlvTag) -> bool {
        if self.get(tag).is_none() {
            return false;
        }
        let mut kept = Self::default();
        for tlv in self.iter().filter(|tlv| tlv.tag != tag) {
            kept.push_short(tlv.tag, tlv.value);
        }
        *self = kept;
        true
    }

    /// Adds a value that came out of a TLV or of a type that is shorter than any limit.
    fn push_short(&mut self, tag: TlvTag, value: &[u8]) {
        let pushed = self.push(tag, value);
        debug_assert!(pushed.is_ok(), "the value has fitted before");
    }

    fn set_short(&mut self, tag: TlvTag, value: &[u8]) {
        self.remove(tag);
        self.push_short(tag, value);
    }

    fn add(&mut self, head: [u8; 4], value: &[u8]) {
        let len = head.len().saturating_add(value.len());
        let inline_len = self.as_bytes().len().saturating_add(len);
        if inline_len <= MAX_INLINE && self.0.add_inline(&head) && self.0.add_inline(value) {
            return;
        }
        let mut octets = match std::mem::take(&mut self.0) {
            Repr::Built(octets) => octets,
            Repr::Frame(bytes) => bytes.into(),
            Repr::Inline(few) => few.as_bytes().to_vec(),
        };
        octets.reserve(len);
        octets.extend_from_slice(&head);
        octets.extend_from_slice(value);
        self.0 = Repr::Built(octets);
    }

    fn octet(&self, tag: TlvTag) -> Option<u8> {
        match self.get(tag)? {
            [octet] => Some(*octet),
            _ => None,
        }
    }

    fn two_octets(&self, tag: TlvTag) -> Option<u16> {
        self.get(tag)?.try_into().ok().map(u16::from_be_bytes)
    }
}

/// The octets on the wire decide, not where they are kept.
impl PartialEq for Tlvs {
    fn eq(&self, other: &Self) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Tlvs {}

impl fmt::Debug for Tlvs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Reads what [`Tlvs::as_bytes`] gave.
impl TryFrom<Vec<u8>> for Tlvs {
    type Error = FieldError;

    fn try_from(octets: Vec<u8>) -> Result<Self, FieldError> {
        let mut rest = &octets[..];
        while !rest.is_empty() {
            (rest, _) = take_tlv(rest).map_err(|_| FieldError::Truncated)?;
        }
        Ok(Self(Repr::Frame(octets.into())))
    }
}

impl<'a> IntoIterator for &'a Tlvs {
    type Item = Tlv<'a>;
    type IntoIter = TlvIter<'a>;

    fn into_iter(self) -> TlvIter<'a> {
        self.iter()
    }
}

impl Field for Tlvs {
    type Part = Place;

    const ROOM: usize = 0;

    /// Takes the rest of the frame. Up to three NULs behind the last parameter are dropped: some
    /// peers end `short_message` with one.
    #[inline]
    fn take<'a>(&mut self, input: &'a [u8]) -> Taken<'a, Place> {
        let mut rest = input;
        while !is_stray_nul(rest) {
            (rest, _) = take_tlv(rest)?;
        }
        let len = input.len().saturating_sub(rest.len());
        let octets = input.get(..len).unwrap_or_default();
        let place = if octets.is_empty() || self.0.add_inline(octets) {
            Place::EMPTY
        } else {
            Place::at_start_of(input, len)
        };
        Ok((&[], place))
    }

    #[inline]
    fn keep(&mut self, place: Place, is_last: bool, frame: &mut Frame<'_, impl Source>) {
        if place.is_kept() {
            let mut kept = Bytes::new();
            frame.split(place, is_last, &mut kept);
            // What it replaces is the empty default, which has nothing to drop.
            std::mem::forget(std::mem::replace(&mut self.0, Repr::Frame(kept)));
        }
    }

    #[inline]
    fn put(&self, _out: &mut Cursor<'_>) -> Option<()> {
        Some(())
    }

    #[inline]
    fn tail(&self) -> &[u8] {
        self.as_bytes()
    }
}

/// Whether what is left cannot be a TLV and says nothing.
#[inline]
fn is_stray_nul(rest: &[u8]) -> bool {
    rest.len() < 4 && rest.iter().all(|octet| *octet == 0)
}

/// The parameters of a [`Tlvs`], in the order of the wire.
#[derive(Debug, Clone)]
pub struct TlvIter<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for TlvIter<'a> {
    type Item = Tlv<'a>;

    fn next(&mut self) -> Option<Tlv<'a>> {
        let (rest, (tag, value)) = take_tlv(self.rest).ok()?;
        self.rest = rest;
        Some(Tlv {
            tag: TlvTag(tag),
            value,
        })
    }
}

/// What the network said when delivery failed (§5.3.2.31).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct NetworkErrorCode {
    /// 1 ANSI-136, 2 IS-95, 3 GSM.
    pub network_type: u8,
    /// The network's own number.
    pub code: u16,
}

/// Getter and setter for parameters of one octet.
macro_rules! octet_tlvs {
    ($($get:ident $set:ident $tag:ident: $ty:ty, $doc:literal;)*) => {
        impl Tlvs {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $get(&self) -> Option<$ty> {
                    self.octet(TlvTag::$tag).map(<$ty>::from)
                }

                #[doc = concat!("Sets `", stringify!($get), "`.")]
                pub fn $set(&mut self, value: impl Into<$ty>) {
                    let value: $ty = value.into();
                    self.set_short(TlvTag::$tag, &[Octet::octet(value)]);
                }
            )*
        }
    };
}

/// Getter and setter for parameters of two octets.
macro_rules! two_octet_tlvs {
    ($($get:ident $set:ident $tag:ident, $doc:literal;)*) => {
        impl Tlvs {
            $(
                #[doc = $doc]
                #[must_use]
                pub fn $get(&self) -> Option<u16> {
                    self.two_octets(TlvTag::$tag)
                }

                #[doc = concat!("Sets `", stringify!($get), "`.")]
                pub fn $set(&mut self, value: u16) {
                    self.set_short(TlvTag::$tag, &value.to_be_bytes());
                }
            )*
        }
    };
}

/// A value of one octet.
trait Octet {
    fn octet(self) -> u8;
}

impl Octet for u8 {
    fn octet(self) -> u8 {
        self
    }
}

impl Octet for MessageState {
    fn octet(self) -> u8 {
        self.0
    }
}

impl Octet for InterfaceVersion {
    fn octet(self) -> u8 {
        self.0
    }
}

octet_tlvs! {
    dest_addr_subunit set_dest_addr_subunit DEST_ADDR_SUBUNIT: u8,
        "The part of the handset that the message is for (§5.3.2.1).";
    source_addr_subunit set_source_addr_subunit SOURCE_ADDR_SUBUNIT: u8,
        "The part of the handset that the message is from (§5.3.2.2).";
    dest_network_type set_dest_network_type DEST_NETWORK_TYPE: u8,
        "The destination's network (§5.3.2.3).";
    source_network_type set_source_network_type SOURCE_NETWORK_TYPE: u8,
        "The source's network (§5.3.2.4).";
    dest_bearer_type set_dest_bearer_type DEST_BEARER_TYPE: u8,
        "The destination's bearer (§5.3.2.5).";
    source_bearer_type set_source_bearer_type SOURCE_BEARER_TYPE: u8,
        "The source's bearer (§5.3.2.6).";
    source_telematics_id set_source_telematics_id SOURCE_TELEMATICS_ID: u8,
        "The source's telematics id (§5.3.2.8).";
    payload_type set_payload_type PAYLOAD_TYPE: u8,
        "0 WDP, 1 WCMP (§5.3.2.10).";
    ms_msg_wait_facilities set_ms_msg_wait_facilities MS_MSG_WAIT_FACILITIES: u8,
        "Which indicator the handset shows (§5.3.2.13).";
    privacy_indicator set_privacy_indicator PRIVACY_INDICATOR: u8,
        "0 not restricted to 3 secret (§5.3.2.14).";
    user_response_code set_user_response_code USER_RESPONSE_CODE: u8,
        "The user's response code (§5.3.2.18).";
    language_indicator set_language_indicator LANGUAGE_INDICATOR: u8,
        "The language of the text (§5.3.2.19).";
    sar_total_segments set_sar_total_segments SAR_TOTAL_SEGMENTS: u8,
        "How many segments the message has, 1 to 255 (§5.3.2.23).";
    sar_segment_seqnum set_sar_segment_seqnum SAR_SEGMENT_SEQNUM: u8,
        "Which of them this is, from 1 (§5.3.2.24).";
    sc_interface_version set_sc_interface_version SC_INTERFACE_VERSION: InterfaceVersion,
        "The version that the SMSC speaks; absent from older ones (§5.3.2.25).";
    display_time set_display_time DISPLAY_TIME: u8,
        "0 temporary, 1 default, 2 invoke (§5.3.2.26).";
    ms_validity set_ms_validity MS_VALIDITY: u8,
        "How long the handset keeps the message (§5.3.2.27).";
    dpf_result set_dpf_result DPF_RESULT: u8,
        "Whether the delivery pending flag was set (§5.3.2.28).";
    set_dpf set_set_dpf SET_DPF: u8,
        "Whether the delivery pending flag is to be set (§5.3.2.29).";
    ms_availability_status set_ms_availability_status MS_AVAILABILITY_STATUS: u8,
        "0 available, 1 denied, 2 unavailable (§5.3.2.30).";
    delivery_failure_reason set_delivery_failure_reason DELIVERY_FAILURE_REASON: u8,
        "0 destination unavailable, 1 address invalid, 2 permanent, 3 temporary (§5.3.2.33).";
    more_messages_to_send set_more_messages_to_send MORE_MESSAGES_TO_SEND: u8,
        "1 when more messages for this destination follow (§5.3.2.34).";
    message_state set_message_state MESSAGE_STATE: MessageState,
        "Where the message has got to (§5.3.2.35).";
    callback_num_pres_ind set_callback_num_pres_ind CALLBACK_NUM_PRES_IND: u8,
        "How the callback number is shown (§5.3.2.37).";
    number_of_messages set_number_of_messages NUMBER_OF_MESSAGES: u8,
        "Messages waiting in a mailbox, 0 to 99 (§5.3.2.39).";
    congestion_state set_congestion_state CONGESTION_STATE: u8,
        "How busy the answering end is, 0 idle to 100 congested (SMPP 5.0 §4.8.4.18).";
    its_reply_type set_its_reply_type ITS_REPLY_TYPE: u8,
        "How the user may reply (§5.3.2.42).";
    ussd_service_op set_ussd_service_op USSD_SERVICE_OP: u8,
        "The USSD operation (§5.3.2.44).";
}

two_octet_tlvs! {
    dest_telematics_id set_dest_telematics_id DEST_TELEMATICS_ID,
        "The destination's telematics id (§5.3.2.7).";
    user_message_reference set_user_message_reference USER_MESSAGE_REFERENCE,
        "The sender's own reference, which receipts give back (§5.3.2.17).";
    source_port set_source_port SOURCE_PORT,
        "The application port of the source (§5.3.2.20).";
    destination_port set_destination_port DESTINATION_PORT,
        "The application port of the destination (§5.3.2.21).";
    sar_msg_ref_num set_sar_msg_ref_num SAR_MSG_REF_NUM,
        "Which segments belong together (§5.3.2.22).";
    sms_signal set_sms_signal SMS_SIGNAL,
        "How the handset alerts its user (§5.3.2.40).";
    its_session_info set_its_session_info ITS_SESSION_INFO,
        "The dialogue of an interactive teleservice (§5.3.2.43).";
}

impl Tlvs {
    /// How long the message lives, in seconds (§5.3.2.9).
    #[must_use]
    pub fn qos_time_to_live(&self) -> Option<u32> {
        self.get(TlvTag::QOS_TIME_TO_LIVE)?
            .try_into()
            .ok()
            .map(u32::from_be_bytes)
    }

    /// Sets `qos_time_to_live`, in seconds.
    pub fn set_qos_time_to_live(&mut self, seconds: u32) {
        self.set_short(TlvTag::QOS_TIME_TO_LIVE, &seconds.to_be_bytes());
    }

    /// The text of the message, where it is not in `short_message` (§5.3.2.32).
    #[must_use]
    pub fn message_payload(&self) -> Option<Bytes> {
        self.get_bytes(TlvTag::MESSAGE_PAYLOAD)
    }

    /// Sets `message_payload`; fails above [`Self::MAX_VALUE_LEN`] octets.
    pub fn set_message_payload(&mut self, octets: &[u8]) -> Result<(), OctetsError> {
        self.set(TlvTag::MESSAGE_PAYLOAD, octets)
    }

    /// The message that a receipt is about (§5.3.2.12). Read up to its NUL or, where the peer
    /// forgot that, to its end.
    #[must_use]
    pub fn receipted_message_id(&self) -> Option<MessageId> {
        let value = self.get(TlvTag::RECEIPTED_MESSAGE_ID)?;
        let id = value.split(|octet| *octet == 0).next().unwrap_or_default();
        MessageId::try_from(id).ok()
    }

    /// Sets `receipted_message_id`.
    pub fn set_receipted_message_id(&mut self, id: &MessageId) {
        let mut value = id.as_bytes().to_vec();
        value.push(0);
        self.set_short(TlvTag::RECEIPTED_MESSAGE_ID, &value);
    }

    /// The network's reason for a failed delivery (§5.3.2.31).
    #[must_use]
    pub fn network_error_code(&self) -> Option<NetworkErrorCode> {
        match self.get(TlvTag::NETWORK_ERROR_CODE)? {
            [network_type, high, low] => Some(NetworkErrorCode {
                network_type: *network_type,
                code: u16::from_be_bytes([*high, *low]),
            }),
            _ => None,
        }
    }

    /// Sets `network_error_code`.
    pub fn set_network_error_code(&mut self, error: NetworkErrorCode) {
        let [high, low] = error.code.to_be_bytes();
        self.set_short(TlvTag::NETWORK_ERROR_CODE, &[error.network_type, high, low]);
    }

    /// Words of the SMSC about a failed `data_sm` (§5.3.2.11), up to their NUL.
    #[must_use]
    pub fn additional_status_info_text(&self) -> Option<String> {
        let value = self.get(TlvTag::ADDITIONAL_STATUS_INFO_TEXT)?;
        let text = value.split(|octet| *octet == 0).next().unwrap_or_default();
        Some(String::from_utf8_lossy(text).into_owned())
    }

    /// Sets `additional_status_info_text`; fails above 255 octets and where a NUL is in it.
    pub fn set_additional_status_info_text(&mut self, text: &str) -> Result<(), OctetsError> {
        const MAX: usize = 255;
        if text.len() > MAX {
            return Err(OctetsError::TooLong { max: MAX });
        }
        if text.contains('\0') {
            return Err(OctetsError::Nul);
        }
        let value = [text.as_bytes(), &[0]].concat();
        self.set(TlvTag::ADDITIONAL_STATUS_INFO_TEXT, &value)
    }

    /// Asks the handset to alert its user; the parameter has no value (§5.3.2.41).
    pub fn set_alert_on_message_delivery(&mut self) {
        self.set_short(TlvTag::ALERT_ON_MESSAGE_DELIVERY, &[]);
    }
}
