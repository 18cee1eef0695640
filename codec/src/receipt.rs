//! Delivery receipts: what became of a message, in TLVs or in a text that every vendor writes a
//! little differently. SMPP 3.4 §2.11, Appendix B.

use std::fmt;

use crate::octets::{MessageId, ShortMessage};
use crate::pdu::{DataSm, DeliverSm};
use crate::quirks::{Quirk, Quirks};
use crate::text::{self, Charset};
use crate::tlv::{NetworkErrorCode, Tlvs};
use crate::udh::{InboundText, TextFields};
use crate::values::{DataCoding, EsmClass, MessageState};

/// What became of a message. `Debug` shows the length of the text only.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Receipt {
    /// The SMSC's handle of the message, as the receipt writes it: its case, its padding and its
    /// base may differ from those of the answer to the submit.
    pub message_id: String,
    /// Where the message has got to; UNKNOWN where the receipt does not say or says it in a word
    /// that nobody knows.
    pub state: MessageState,
    /// Whether more will follow, as an intermediate notification says (`esm_class` 0x20).
    pub intermediate: bool,
    /// The network's or the SMSC's own code, as it came: not always a number.
    pub error: Option<String>,
    /// How many messages were submitted (to a distribution list).
    pub sub: Option<u16>,
    /// How many of them were delivered.
    pub dlvrd: Option<u16>,
    /// When the message was submitted, as it came; [`crate::time::AbsoluteTime::from_receipt_date`]
    /// reads it.
    pub submitted: Option<String>,
    /// When the message reached its state, as it came.
    pub done: Option<String>,
    /// The first characters of the message.
    pub text: Option<String>,
}

impl EsmClass {
    /// Whether a `deliver_sm` or `data_sm` of this class is a receipt or an intermediate
    /// notification, so that it is never a text for a person. Some peers set further type bits.
    #[must_use]
    pub const fn is_receipt(self) -> bool {
        self.message_type().0 & (Self::RECEIPT.0 | Self::INTERMEDIATE.0) != 0
    }
}

impl Receipt {
    /// The receipt in a `deliver_sm`; `None` where its `esm_class` does not say so, or where
    /// neither its TLVs nor its text name a message.
    #[must_use]
    pub fn of(pdu: &DeliverSm) -> Option<Self> {
        Self::with(pdu, Quirks::NONE)
    }

    /// The receipt in a `data_sm`, as [`Self::of`].
    #[must_use]
    pub fn of_data_sm(pdu: &DataSm) -> Option<Self> {
        Self::with(pdu, Quirks::NONE)
    }

    /// The receipt in a PDU from a peer with these quirks. The TLVs win over the text.
    #[must_use]
    pub fn with<'a>(fields: impl Into<TextFields<'a>>, quirks: Quirks) -> Option<Self> {
        let fields = fields.into();
        let (esm_class, tlvs) = (fields.esm_class, fields.tlvs);
        let is_marked = esm_class.is_receipt();
        if !is_marked && !quirks.contains(Quirk::UnmarkedReceipts) {
            return None;
        }
        let text = InboundText::with(fields, quirks).unnamed();
        let from_text = Self::of_octets(text.data_coding, &text.payload);
        let mut receipt = match id_of(tlvs) {
            Some(message_id) => Self {
                message_id,
                ..from_text.unwrap_or_else(Self::of_nothing)
            },
            // Anybody may write a text with an id in it.
            None => from_text.filter(|receipt| is_marked || receipt.looks_official())?,
        };
        receipt.intermediate = esm_class.message_type() == EsmClass::INTERMEDIATE;
        if let Some(state) = tlvs.message_state() {
            receipt.state = state;
        }
        if let Some(error) = tlvs.network_error_code() {
            receipt.error = Some(error_text(error));
        }
        Some(receipt)
    }

    /// Whether it has what the SMSC writes of each message.
    const fn looks_official(&self) -> bool {
        self.submitted.is_some() && self.done.is_some() && self.error.is_some()
    }

    fn of_nothing() -> Self {
        Self {
            state: MessageState::UNKNOWN,
            ..Self::default()
        }
    }

    /// Reads the text of a receipt. Peers announce UCS-2 and send ASCII, or the other way round:
    /// what has the keys in it counts.
    fn of_octets(data_coding: DataCoding, octets: &[u8]) -> Option<Self> {
        let charset = match Charset::of(data_coding) {
            Charset::Ucs2 => Charset::Octets,
            charset => charset,
        };
        Self::of_fields(&Fields::of(octets), charset).or_else(|| {
            let text = text::decode(data_coding, octets);
            Self::parse(&text)
        })
    }

    /// Reads the text of a receipt (Appendix B): keys in any order and case, any of them missing but
    /// `id`. For peers whose receipts do not say so in `esm_class`; a text that only looks like a
    /// receipt reads as one too.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::of_fields(&Fields::of(text.as_bytes()), Charset::Octets)
    }

    fn of_fields(fields: &Fields<'_>, charset: Charset) -> Option<Self> {
        let state = fields.get(Key::Stat);
        Some(Self {
            message_id: fields.get(Key::Id)?,
            state: state.map_or(MessageState::UNKNOWN, |name| {
                MessageState::of_receipt_name(&name)
            }),
            intermediate: false,
            error: fields.get(Key::Err),
            sub: fields.get(Key::Sub).and_then(|count| count.parse().ok()),
            dlvrd: fields.get(Key::Dlvrd).and_then(|count| count.parse().ok()),
            submitted: fields.get(Key::SubmitDate),
            done: fields.get(Key::DoneDate),
            text: fields.text.map(|octets| charset.decode(octets)),
        })
    }

    /// The text of Appendix B, in ASCII without control characters, `?` for what is none: what is
    /// missing is 001, 000 or 0000000000, and the text is cut after 20 characters. The key `text` is in lower case as in table B-1, which is what
    /// receivers look for.
    #[must_use]
    pub fn write(&self) -> String {
        let delivered = u16::from(self.state == MessageState::DELIVERED);
        format!(
            "id:{} sub:{:03} dlvrd:{:03} submit date:{} done date:{} stat:{} err:{} text:{}",
            word(&self.message_id),
            self.sub.unwrap_or(1),
            self.dlvrd.unwrap_or(delivered),
            word(self.submitted.as_deref().unwrap_or("0000000000")),
            word(self.done.as_deref().unwrap_or("0000000000")),
            self.state.receipt_name(),
            word(self.error.as_deref().unwrap_or("000")),
            self.text
                .as_deref()
                .unwrap_or_default()
                .chars()
                .take(20)
                .map(printable)
                .collect::<String>(),
        )
    }

    /// The `deliver_sm` that carries this receipt both ways, by text and by TLVs, its addresses
    /// left empty; the text is ASCII and says so. An id of more than 64 octets is in the text
    /// only, and a text of more than 254 is cut.
    #[must_use]
    pub fn deliver_sm(&self) -> DeliverSm {
        let mut tlvs = Tlvs::default();
        if let Ok(id) = MessageId::try_from(self.message_id.as_str()) {
            tlvs.set_receipted_message_id(&id);
        }
        tlvs.set_message_state(self.state);
        let esm_class = if self.intermediate {
            EsmClass::INTERMEDIATE
        } else {
            EsmClass::RECEIPT
        };
        let text = self.write();
        let fitting = text
            .as_bytes()
            .get(..ShortMessage::MAX_LEN)
            .unwrap_or(text.as_bytes());
        let short_message = ShortMessage::try_from(fitting).unwrap_or_default();
        DeliverSm {
            esm_class,
            data_coding: DataCoding::IA5,
            short_message,
            tlvs,
            ..DeliverSm::default()
        }
    }
}

/// The id that the TLVs give, where there is one.
fn id_of(tlvs: &Tlvs) -> Option<String> {
    let id = tlvs.receipted_message_id()?;
    let id = id.to_text().trim().to_owned();
    (!id.is_empty()).then_some(id)
}

/// The code in three digits at least. Some peers write it in ASCII over all three octets.
fn error_text(error: NetworkErrorCode) -> String {
    let [high, low] = error.code.to_be_bytes();
    let octets = [error.network_type, high, low];
    if octets.iter().all(u8::is_ascii_digit) {
        octets.into_iter().map(char::from).collect()
    } else {
        format!("{:03}", error.code)
    }
}

/// A value that no blank ends.
fn word(value: &str) -> String {
    let graphic = |one: char| if one == ' ' { '?' } else { printable(one) };
    value.chars().map(graphic).collect()
}

fn printable(character: char) -> char {
    if matches!(character, ' '..='~') {
        character
    } else {
        '?'
    }
}

impl fmt::Debug for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receipt")
            .field("message_id", &self.message_id)
            .field("state", &self.state)
            .field("intermediate", &self.intermediate)
            .field("error", &self.error)
            .field("done", &self.done)
            .field("text_len", &self.text.as_ref().map(String::len))
            .finish_non_exhaustive()
    }
}

impl MessageState {
    /// The word of receipts for this state (table B-2); UNKNOWN for states without one.
    #[must_use]
    pub const fn receipt_name(self) -> &'static str {
        match self {
            Self::ENROUTE => "ENROUTE",
            Self::DELIVERED => "DELIVRD",
            Self::EXPIRED => "EXPIRED",
            Self::DELETED => "DELETED",
            Self::UNDELIVERABLE => "UNDELIV",
            Self::ACCEPTED => "ACCEPTD",
            Self::REJECTED => "REJECTD",
            _ => "UNKNOWN",
        }
    }

    /// The state that a receipt's word means, however the peer spells it; a number is the state of
    /// that number. UNKNOWN for words that nobody knows.
    #[must_use]
    pub fn of_receipt_name(name: &str) -> Self {
        let name = name.to_ascii_uppercase();
        let by_word = STATE_WORDS.iter().find(|(word, _)| name.starts_with(word));
        match by_word {
            Some((_, state)) => *state,
            None => name.parse().map_or(Self::UNKNOWN, Self),
        }
    }
}

/// How the words begin that are seen in receipts. BUFFRED, ACKED and FAILED are of SMSCs that
/// Kannel knows.
const STATE_WORDS: [(&str, MessageState); 12] = [
    ("DELIV", MessageState::DELIVERED),
    ("EXPIR", MessageState::EXPIRED),
    ("DELET", MessageState::DELETED),
    ("UNDEL", MessageState::UNDELIVERABLE),
    ("FAIL", MessageState::UNDELIVERABLE),
    ("ACCEP", MessageState::ACCEPTED),
    ("ACK", MessageState::ACCEPTED),
    ("REJEC", MessageState::REJECTED),
    ("ENROU", MessageState::ENROUTE),
    ("BUFF", MessageState::ENROUTE),
    ("SCHED", MessageState::ENROUTE),
    ("UNKNO", MessageState::UNKNOWN),
];

/// The keys of a receipt's text, but for `text`, which ends them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Id,
    Sub,
    Dlvrd,
    SubmitDate,
    DoneDate,
    Stat,
    Err,
}

/// The keys as they are spelt, in lower case.
const KEYS: [(&[u8], Key); 11] = [
    (b"id:", Key::Id),
    (b"sub:", Key::Sub),
    (b"dlvrd:", Key::Dlvrd),
    (b"submit date:", Key::SubmitDate),
    (b"submit_date:", Key::SubmitDate),
    (b"submitdate:", Key::SubmitDate),
    (b"done date:", Key::DoneDate),
    (b"done_date:", Key::DoneDate),
    (b"donedate:", Key::DoneDate),
    (b"stat:", Key::Stat),
    (b"err:", Key::Err),
];
const TEXT_KEY: &[u8] = b"text:";

/// The values of a receipt's text. Whatever is behind `text:` is the sender's and is no key.
struct Fields<'a> {
    head: &'a [u8],
    text: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    fn of(octets: &'a [u8]) -> Self {
        match after_key(octets, TEXT_KEY) {
            Some((head, text)) => Self {
                head,
                text: Some(text),
            },
            None => Self {
                head: octets,
                text: None,
            },
        }
    }

    /// The word behind a key; `None` where the key is missing or has nothing behind it.
    fn get(&self, key: Key) -> Option<String> {
        let mut spellings = KEYS.iter().filter(|(_, known)| *known == key);
        let (_, after) = spellings.find_map(|(word, _)| after_key(self.head, word))?;
        let value = after.trim_ascii_start();
        if KEYS.iter().any(|(word, _)| starts_with(value, word)) {
            return None;
        }
        let word = value.split(|octet| is_separator(*octet)).next()?;
        (!word.is_empty()).then(|| word.iter().map(|octet| readable(*octet)).collect())
    }
}

fn is_separator(octet: u8) -> bool {
    octet.is_ascii_whitespace() || matches!(octet, 0 | b',' | b';' | b'|')
}

/// Heads are ASCII. Where a peer writes them in GSM 03.38 only the underline differs.
fn readable(octet: u8) -> char {
    match octet {
        0x11 => '_',
        _ => text::ascii(octet),
    }
}

/// What is before the key and what is behind it, at its first place that begins a word.
fn after_key<'a>(octets: &'a [u8], key: &[u8]) -> Option<(&'a [u8], &'a [u8])> {
    let at = octets
        .windows(key.len())
        .enumerate()
        .find_map(|(at, window)| {
            let before = at.checked_sub(1).and_then(|before| octets.get(before));
            let begins_word = before.is_none_or(|octet| !octet.is_ascii_alphanumeric());
            (begins_word && window.eq_ignore_ascii_case(key)).then_some(at)
        })?;
    let (before, rest) = octets.split_at_checked(at)?;
    Some((before, rest.get(key.len()..)?))
}

fn starts_with(octets: &[u8], key: &[u8]) -> bool {
    octets
        .get(..key.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: &str = "id:0123456789 sub:001 dlvrd:001 submit date:2602281234 \
                         done date:2602281235 stat:DELIVRD err:000 text:hello there";

    fn deliver_sm(text: &[u8]) -> DeliverSm {
        DeliverSm {
            esm_class: EsmClass::RECEIPT,
            short_message: text.try_into().unwrap(),
            ..DeliverSm::default()
        }
    }

    fn receipt(text: &str) -> Receipt {
        Receipt::of(&deliver_sm(text.as_bytes())).unwrap()
    }

    #[test]
    fn the_text_of_appendix_b_is_read_field_by_field() {
        assert_eq!(
            receipt(PLAIN),
            Receipt {
                message_id: "0123456789".into(),
                state: MessageState::DELIVERED,
                intermediate: false,
                error: Some("000".into()),
                sub: Some(1),
                dlvrd: Some(1),
                submitted: Some("2602281234".into()),
                done: Some("2602281235".into()),
                text: Some("hello there".into()),
            }
        );
    }

    #[test]
    fn what_was_read_is_written_as_it_was() {
        assert_eq!(receipt(PLAIN).write(), PLAIN);
    }

    #[test]
    fn an_empty_receipt_is_written_with_the_fixed_widths() {
        let receipt = Receipt {
            message_id: "7".into(),
            state: MessageState::UNDELIVERABLE,
            text: Some("grüße an alle, die das hier lesen".into()),
            ..Receipt::default()
        };
        assert_eq!(
            receipt.write(),
            "id:7 sub:001 dlvrd:000 submit date:0000000000 done date:0000000000 stat:UNDELIV \
             err:000 text:gr??e an alle, die d"
        );
    }

    #[test]
    fn what_is_no_printable_ascii_is_not_written() {
        let receipt = Receipt {
            message_id: "a\u{5}b c\r\n".into(),
            error: Some("é 1".into()),
            submitted: Some("\0".into()),
            ..Receipt::default()
        };
        assert_eq!(
            receipt.write(),
            "id:a?b?c?? sub:001 dlvrd:000 submit date:? done date:0000000000 stat:UNKNOWN \
             err:??1 text:"
        );
    }

    #[test]
    fn an_id_keeps_its_zeros_its_case_and_its_letters() {
        assert_eq!(receipt("id:000aBc stat:DELIVRD").message_id, "000aBc");
        let uuid = "9d5e0b0c-2b2a-4f5e-8f5c-1a2b3c4d5e6f";
        assert_eq!(receipt(&format!("id:{uuid} stat:DELIVRD")).message_id, uuid);
        assert_eq!(
            receipt("id:98765432109876543210 stat:DELIVRD").message_id,
            "98765432109876543210"
        );
        assert_eq!(receipt("id:a_b stat:DELIVRD").message_id, "a_b");
        assert_eq!(receipt("id:a\u{11}b stat:DELIVRD").message_id, "a_b");
    }

    #[test]
    fn keys_may_be_missing_in_another_order_and_in_another_case() {
        let short = receipt("id:1 stat:EXPIRED");
        assert_eq!(
            (short.state, short.sub, short.done),
            (MessageState::EXPIRED, None, None)
        );
        let shuffled = receipt("STAT:Rejectd ERR:12 Id:77");
        assert_eq!(shuffled.message_id, "77");
        assert_eq!(shuffled.state, MessageState::REJECTED);
        assert_eq!(shuffled.error.as_deref(), Some("12"));
        assert_eq!(
            receipt("id:1 stat:DELIVRD Text: ok").text.as_deref(),
            Some(" ok")
        );
        assert_eq!(
            receipt("id: 1, stat: DELIVRD, err: 3").state,
            MessageState::DELIVERED
        );
    }

    #[test]
    fn a_key_with_nothing_behind_it_does_not_take_the_next_key() {
        let receipt = receipt("id:1 sub: dlvrd: stat:DELIVRD err: text:");
        assert_eq!(receipt.sub, None);
        assert_eq!(receipt.error, None);
        assert_eq!(receipt.text.as_deref(), Some(""));
    }

    #[test]
    fn an_error_need_not_be_a_number_and_dates_may_have_seconds() {
        let receipt = receipt("id:1 submit date:20260228123400 stat:UNDELIV err:E0A");
        assert_eq!(receipt.error.as_deref(), Some("E0A"));
        assert_eq!(receipt.submitted.as_deref(), Some("20260228123400"));
    }

    #[test]
    fn the_senders_text_is_never_taken_for_a_key() {
        let receipt = receipt("id:1 stat:UNDELIV text:id:2 stat:DELIVRD err:9");
        assert_eq!(receipt.message_id, "1");
        assert_eq!(receipt.state, MessageState::UNDELIVERABLE);
        assert_eq!(receipt.error, None);
    }

    #[test]
    fn every_state_survives_its_word_and_vendors_words_are_known() {
        for state in MessageState::KNOWN {
            assert_eq!(MessageState::of_receipt_name(state.receipt_name()), *state);
        }
        let state = MessageState::of_receipt_name;
        assert_eq!(state("delivered"), MessageState::DELIVERED);
        assert_eq!(state("UNDELIVERABLE"), MessageState::UNDELIVERABLE);
        assert_eq!(state("BUFFRED"), MessageState::ENROUTE);
        assert_eq!(state("ACKED"), MessageState::ACCEPTED);
        assert_eq!(state("FAILED"), MessageState::UNDELIVERABLE);
        assert_eq!(state("2"), MessageState::DELIVERED);
        assert_eq!(state("NONSENSE"), MessageState::UNKNOWN);
    }

    #[test]
    fn the_parameters_win_over_the_text() {
        let mut pdu = deliver_sm(PLAIN.as_bytes());
        pdu.tlvs.set_receipted_message_id(&"abc".parse().unwrap());
        pdu.tlvs.set_message_state(MessageState::EXPIRED);
        pdu.tlvs.set_network_error_code(NetworkErrorCode {
            network_type: 3,
            code: 27,
        });
        let receipt = Receipt::of(&pdu).unwrap();
        assert_eq!(receipt.message_id, "abc");
        assert_eq!(receipt.state, MessageState::EXPIRED);
        assert_eq!(receipt.error.as_deref(), Some("027"));
        assert_eq!(receipt.done.as_deref(), Some("2602281235"));
    }

    #[test]
    fn parameters_alone_are_a_receipt_and_a_missing_state_is_unknown() {
        let mut pdu = deliver_sm(b"");
        pdu.tlvs.set_receipted_message_id(&"abc".parse().unwrap());
        assert_eq!(Receipt::of(&pdu).unwrap().state, MessageState::UNKNOWN);
        pdu.tlvs.set_message_state(MessageState::DELIVERED);
        assert_eq!(Receipt::of(&pdu).unwrap().state, MessageState::DELIVERED);
    }

    #[test]
    fn an_empty_id_parameter_leaves_the_id_to_the_text() {
        let mut pdu = deliver_sm(PLAIN.as_bytes());
        pdu.tlvs.set_receipted_message_id(&MessageId::EMPTY);
        assert_eq!(Receipt::of(&pdu).unwrap().message_id, "0123456789");
    }

    #[test]
    fn ascii_announced_as_ucs2_is_read_and_so_is_ucs2() {
        let mut pdu = deliver_sm(PLAIN.as_bytes());
        pdu.data_coding = DataCoding::UCS2;
        assert_eq!(Receipt::of(&pdu), Some(receipt(PLAIN)));
        let short = "id:12 stat:DELIVRD text:привет";
        let mut pdu = deliver_sm(&text::ucs2::encode(short));
        pdu.data_coding = DataCoding::UCS2;
        let read = Receipt::of(&pdu).unwrap();
        assert_eq!(read.message_id, "12");
        assert_eq!(read.text.as_deref(), Some("привет"));
    }

    #[test]
    fn a_receipt_may_come_in_message_payload_and_in_data_sm() {
        let mut pdu = DataSm {
            esm_class: EsmClass::RECEIPT,
            ..DataSm::default()
        };
        pdu.tlvs.set_message_payload(PLAIN.as_bytes()).unwrap();
        assert_eq!(Receipt::of_data_sm(&pdu), Some(receipt(PLAIN)));
        let mut pdu = deliver_sm(b"");
        pdu.tlvs.set_message_payload(PLAIN.as_bytes()).unwrap();
        assert_eq!(Receipt::of(&pdu), Some(receipt(PLAIN)));
    }

    #[test]
    fn a_receipt_in_national_tables_is_read_in_them() {
        // The Turkish alphabet has the dotless i where the default one has a small i with grave.
        let header = [3, 0x25, 1, 1];
        let octets = [&header[..], b"id:7 stat:DELIVRD text:k\x07s"].concat();
        let pdu = DeliverSm {
            esm_class: EsmClass(EsmClass::RECEIPT.0 | EsmClass::UDHI.0),
            ..deliver_sm(&octets)
        };
        let receipt = Receipt::of(&pdu).unwrap();
        assert_eq!(receipt.message_id, "7");
        assert_eq!(receipt.text.as_deref(), Some("kıs"));
    }

    #[test]
    fn an_intermediate_notification_says_so() {
        let mut pdu = deliver_sm(b"id:1 stat:ENROUTE");
        pdu.esm_class = EsmClass::INTERMEDIATE;
        let receipt = Receipt::of(&pdu).unwrap();
        assert!(receipt.intermediate);
        assert_eq!(receipt.state, MessageState::ENROUTE);
    }

    #[test]
    fn a_text_without_the_bit_or_without_an_id_is_no_receipt() {
        let mut pdu = deliver_sm(PLAIN.as_bytes());
        pdu.esm_class = EsmClass::DEFAULT;
        assert_eq!(Receipt::of(&pdu), None);
        assert_eq!(Receipt::of(&deliver_sm(b"stat:DELIVRD")), None);
        assert_eq!(Receipt::of(&deliver_sm(b"paid:12 stat:DELIVRD")), None);
        assert_eq!(Receipt::of(&deliver_sm(b"")), None);
    }

    #[test]
    fn a_receipt_survives_its_own_deliver_sm() {
        let original = receipt(PLAIN);
        assert_eq!(Receipt::of(&original.deliver_sm()), Some(original));
    }

    #[test]
    fn an_id_that_is_too_long_is_cut_in_its_deliver_sm() {
        let receipt = Receipt {
            message_id: "7".repeat(300),
            ..Receipt::default()
        };
        let pdu = receipt.deliver_sm();
        assert_eq!(pdu.short_message.len(), ShortMessage::MAX_LEN);
        assert_eq!(pdu.tlvs.receipted_message_id(), None);
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert!(!format!("{:?}", receipt(PLAIN)).contains("hello"));
    }
}
