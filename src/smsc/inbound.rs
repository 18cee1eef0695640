//! What a peer asks of us: SMS and receipts. Durable first, answered after.

use bytes::Bytes;
use futures_util::future::join_all;
use matrix_smpp_codec::receipt::Receipt;
use matrix_smpp_codec::udh::InboundText;
use matrix_smpp_codec::values::{CommandStatus, DataCoding, Ton};
use matrix_smpp_codec::{Body, DataSm, DataSmResp, DeliverSm, DeliverSmResp, E164};
use matrix_smpp_config::{DefaultCoding, LinkGroup, MoUnleased};
use matrix_smpp_session::Link;
use tracing::{debug, warn};
use uuid::Uuid;

use crate::flow::Gateway;
use crate::gateway::model::{E164Text, Handset};
use crate::store::{ReceiptIn, ReceiptTaken, SmsIn, SmsTaken, StoreError};

/// The name of a sender whose address is empty: no ghost goes without one.
const NAMELESS: &str = "unknown";

/// A request of the peer that waits for its answer.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) session: Uuid,
    pub(super) epoch: u64,
    pub(super) sequence: u32,
    pub(super) body: Body,
}

/// Takes in the requests of one link.
#[derive(Debug, Clone)]
pub(super) struct Inbound {
    gateway: Gateway,
    group: String,
    unleased: MoUnleased,
    default_coding: DefaultCoding,
    link: Link,
}

/// What became of a request, and so how it is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Durable,
    NobodysNumber,
    CannotStore,
    NotForUs,
}

/// What a `deliver_sm` or a `data_sm` says. SMPP 3.4 §4.6.1, §4.7.1.
struct Said {
    parties: Parties,
    what: What,
}

/// Between whom, as the PDU has it.
struct Parties {
    source_ton: Ton,
    source: String,
    destination: String,
}

enum What {
    Receipt(Receipt),
    UnreadableReceipt,
    Text(InboundText),
}

macro_rules! said_by {
    ($($pdu:ty, $receipt:expr;)*) => {$(
        impl From<&$pdu> for Said {
            fn from(sm: &$pdu) -> Self {
                let parties = Parties {
                    source_ton: sm.source_addr_ton,
                    source: sm.source_addr.to_text(),
                    destination: sm.destination_addr.to_text(),
                };
                let what = match $receipt(sm) {
                    Some(receipt) => What::Receipt(receipt),
                    None if sm.esm_class.is_receipt() => What::UnreadableReceipt,
                    None => What::Text(InboundText::from(sm)),
                };
                Self { parties, what }
            }
        }
    )*};
}

said_by! {
    DeliverSm, Receipt::of;
    DataSm, Receipt::of_data_sm;
}

impl Inbound {
    pub(super) fn new(gateway: Gateway, group: &LinkGroup, link: Link) -> Self {
        Self {
            gateway,
            group: group.name.clone(),
            unleased: group.mo_unleased,
            default_coding: group.quirks.deliver_data_coding_default,
            link,
        }
    }

    /// Stores and answers requests. They reach the store in the order in which they came, and share
    /// its commits.
    pub(super) async fn take(&self, requests: Vec<Request>, living: &[Uuid]) {
        join_all(
            requests
                .into_iter()
                .map(|request| self.take_one(request, living.to_vec())),
        )
        .await;
    }

    async fn take_one(&self, request: Request, living: Vec<Uuid>) {
        let fate = match &request.body {
            Body::DeliverSm(sm) => self.store(sm.into(), &request, living).await,
            Body::DataSm(sm) => self.store(sm.into(), &request, living).await,
            Body::AlertNotification(_) => return,
            _ => Fate::NotForUs,
        };
        let status = self.status(fate);
        let answer = match &request.body {
            Body::DataSm(_) => Body::DataSmResp(DataSmResp::default()),
            Body::DeliverSm(_) => Body::DeliverSmResp(DeliverSmResp::default()),
            _ => Body::GenericNack,
        };
        self.link
            .respond(request.sequence, request.epoch, status, answer);
    }

    fn status(&self, fate: Fate) -> CommandStatus {
        match (fate, self.unleased) {
            (Fate::Durable, _) | (Fate::NobodysNumber, MoUnleased::Drop) => CommandStatus::ESME_ROK,
            (Fate::NobodysNumber, MoUnleased::Reject) => CommandStatus::ESME_RINVDSTADR,
            (Fate::CannotStore, _) => CommandStatus::ESME_RMSGQFUL,
            (Fate::NotForUs, _) => CommandStatus::ESME_RINVCMDID,
        }
    }

    async fn store(&self, said: Said, request: &Request, living: Vec<Uuid>) -> Fate {
        let Said { parties, what } = said;
        let stored = match what {
            What::Receipt(receipt) => self.receipt(&parties, receipt).await,
            What::UnreadableReceipt => Ok(self.unreadable_receipt()),
            What::Text(text) => self.sms(parties, text, (request.session, living)).await,
        };
        stored.unwrap_or_else(|error| {
            warn!(%error, group = self.group, "cannot store what the peer sent");
            Fate::CannotStore
        })
    }

    async fn receipt(&self, parties: &Parties, receipt: Receipt) -> Result<Fate, StoreError> {
        let taken = self.gateway.store.take_receipt(ReceiptIn {
            link_group: self.group.clone(),
            message_id: receipt.message_id,
            state: receipt.state,
            error: receipt.error,
            handset: bare(&parties.source).parse().ok(),
            originator: bare(&parties.destination).to_owned(),
            at: self.gateway.clock.now(),
        });
        let matched = match taken.await? {
            ReceiptTaken::Matched => "id",
            ReceiptTaken::Evidence => "evidence",
            ReceiptTaken::Parked => "parked",
        };
        self.gateway
            .metrics
            .receipts
            .with_label_values(&[&self.group, matched])
            .inc();
        self.gateway.wakes.outbox.notify_one();
        Ok(Fate::Durable)
    }

    /// A receipt that names no message helps nobody, and is no text for a person either.
    fn unreadable_receipt(&self) -> Fate {
        self.gateway
            .metrics
            .receipts
            .with_label_values(&[self.group.as_str(), "unreadable"])
            .inc();
        Fate::Durable
    }

    async fn sms(
        &self,
        parties: Parties,
        text: InboundText,
        (session, living_sessions): (Uuid, Vec<Uuid>),
    ) -> Result<Fate, StoreError> {
        let (data_coding, payload) =
            read_default(self.default_coding, text.data_coding, text.payload);
        let to = bare(&parties.destination).to_owned();
        let taken = self.gateway.store.take_sms(SmsIn {
            link_group: self.group.clone(),
            session,
            living_sessions,
            from: sender(parties.source_ton, parties.source),
            dedicated_to: self
                .gateway
                .settings
                .dedicated_owner(&to)
                .map(ToOwned::to_owned),
            to,
            concat: text.concat,
            data_coding,
            payload,
            at: self.gateway.clock.now(),
        });
        match taken.await? {
            SmsTaken::NotLeased => {
                debug!(group = self.group, "an SMS that nobody waits for");
                self.gateway
                    .metrics
                    .unleased
                    .with_label_values(&[&self.group])
                    .inc();
                Ok(Fate::NobodysNumber)
            }
            SmsTaken::Stored { complete } => {
                if complete {
                    self.gateway.wakes.sms.ring();
                }
                Ok(Fate::Durable)
            }
            SmsTaken::Repeated => Ok(Fate::Durable),
        }
    }
}

/// What the peer means by `data_coding` 0.
fn read_default(default: DefaultCoding, coding: DataCoding, payload: Bytes) -> (DataCoding, Bytes) {
    if coding != DataCoding::GSM_DEFAULT {
        return (coding, payload);
    }
    match default {
        DefaultCoding::Gsm7 => (coding, payload),
        DefaultCoding::Latin1 => (DataCoding::LATIN1, payload),
        DefaultCoding::Ascii => (DataCoding::IA5, payload),
        DefaultCoding::Utf8 => {
            let text = String::from_utf8_lossy(&payload);
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
            (DataCoding::UCS2, units.into())
        }
    }
}

/// Who texts. A sender that is no international number has a ghost class of its own: the digits of
/// a national one could be another subscriber's international number.
fn sender(ton: Ton, text: String) -> Handset {
    if text.trim().is_empty() {
        return Handset::Alphanumeric(NAMELESS.to_owned());
    }
    let digits = bare(&text);
    let numeric = !digits.is_empty() && digits.bytes().all(|octet| octet.is_ascii_digit());
    if ton == Ton::ALPHANUMERIC || !numeric {
        return Handset::Alphanumeric(text);
    }
    let international = matches!(ton, Ton::INTERNATIONAL | Ton::UNKNOWN);
    match digits.parse::<E164>() {
        Ok(number) if international && digits.len() >= 7 => Handset::Number(E164Text(number)),
        _ => Handset::Shortcode(digits.to_owned()),
    }
}

/// An address without the plus that some peers put before it.
fn bare(address: &str) -> &str {
    address.trim().trim_start_matches('+')
}

#[cfg(test)]
mod tests {
    use matrix_smpp_codec::{Address, text};
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_sender_without_an_address_has_a_name() {
        for address in ["", " "] {
            let handset = sender(Ton::UNKNOWN, address.to_owned());
            assert_eq!(handset, Handset::Alphanumeric("unknown".to_owned()));
        }
    }

    #[test]
    fn only_an_international_number_is_a_number() {
        let digits = "7700900123";
        let number = Handset::Number(E164Text(digits.parse().unwrap()));
        for ton in [Ton::UNKNOWN, Ton::INTERNATIONAL] {
            assert_eq!(sender(ton, digits.to_owned()), number);
            assert_eq!(sender(ton, format!("+{digits}")), number);
            let short = Handset::Shortcode("770090".to_owned());
            assert_eq!(sender(ton, "770090".to_owned()), short);
        }
        let others = [
            Ton::NATIONAL,
            Ton::NETWORK_SPECIFIC,
            Ton::SUBSCRIBER_NUMBER,
            Ton::ABBREVIATED,
        ];
        for ton in others {
            let local = Handset::Shortcode(digits.to_owned());
            assert_eq!(sender(ton, digits.to_owned()), local, "{ton:?}");
        }
    }

    #[test]
    fn a_data_sm_keeps_its_long_addresses() {
        let name = "a".repeat(64);
        let sm = DataSm {
            source_addr: Address::try_from(name.as_str()).unwrap(),
            destination_addr: Address::try_from("447700900901").unwrap(),
            ..DataSm::default()
        };
        let said = Said::from(&sm);
        assert_eq!(said.parties.source, name);
        assert_eq!(said.parties.destination, "447700900901");
        assert!(matches!(said.what, What::Text(_)));
    }

    #[test]
    fn senders_have_the_class_that_their_address_says() {
        for (address, ton, key) in [
            ("447700900123", Ton::INTERNATIONAL, "447700900123"),
            ("+447700900123", Ton::UNKNOWN, "447700900123"),
            ("12345", Ton::UNKNOWN, "=s12345"),
            ("12345", Ton::INTERNATIONAL, "=s12345"),
            ("447700900123", Ton::NETWORK_SPECIFIC, "=s447700900123"),
            ("07700900123", Ton::NATIONAL, "=s07700900123"),
            ("MyBank", Ton::ALPHANUMERIC, "=a4d7942616e6b"),
            ("12345", Ton::ALPHANUMERIC, "=a3132333435"),
            ("My-Bank", Ton::UNKNOWN, "=a4d792d42616e6b"),
        ] {
            assert_eq!(
                sender(ton, address.to_owned()).key(),
                key,
                "{address} {ton:?}"
            );
        }
    }

    #[test]
    fn data_coding_zero_is_read_as_the_peer_means_it() {
        for (default, octets, words) in [
            (DefaultCoding::Gsm7, &b"\x00"[..], "@"),
            (DefaultCoding::Latin1, b"\xe9", "é"),
            (DefaultCoding::Ascii, b"$", "$"),
            (DefaultCoding::Utf8, "é€😀".as_bytes(), "é€😀"),
        ] {
            let (coding, payload) =
                read_default(default, DataCoding::GSM_DEFAULT, Bytes::from_static(octets));
            assert_eq!(text::decode(coding, &payload), words, "{default:?}");
        }
    }

    #[test]
    fn any_other_data_coding_is_left_alone() {
        let payload = Bytes::from_static(b"\x04\x16");
        let read = read_default(DefaultCoding::Utf8, DataCoding::UCS2, payload.clone());
        assert_eq!(read, (DataCoding::UCS2, payload));
    }

    proptest! {
        #[test]
        fn every_sender_survives_its_key(
            ton: u8,
            text in prop_oneof!["\\PC{0,65}", "[+ ]{0,2}[0-9]{0,64}", "[\0-\x7f]{0,20}"],
        ) {
            let handset = sender(Ton(ton % 8), text);
            prop_assert_eq!(Handset::from_key(&handset.key()), Some(handset));
        }
    }
}
