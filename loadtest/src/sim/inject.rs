//! What a phone writes, as users of `SMPPSim` ask for it: the fields of its form, in its words.

use std::collections::{BTreeMap, VecDeque};
use std::str::FromStr;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use matrix_smpp_codec::{
    COctets, DataCoding, DeliverSm, EsmClass, Npi, RegisteredDelivery, TlvTag, Tlvs, Ton,
};
use serde::Deserialize;

use crate::sim::handsets::Words;
use crate::sim::ids::Ids;
use crate::sim::mo::{self, Segmentation, Writing};
use crate::sim::smsc::{SendError, Smsc};

/// How many messages wait where nobody is bound, as `SMPPSim`'s `INBOUND_QUEUE_MAX_SIZE` has it.
const MAX_WAITING: usize = 1_000;

/// Between two looks whether a bind receives.
const LOOK: Duration = Duration::from_millis(20);

/// What phones wrote that waits for a bind.
pub(crate) type Waiting = VecDeque<(String, Writing)>;

impl Smsc {
    /// A phone writes, and nobody waits for the answers; what nobody is bound for waits for the next
    /// bind. Returns whether it does.
    pub(crate) fn inject(&self, from: &str, writing: Writing) -> Result<bool, SendError> {
        mo::segments(from, &writing, &mut Ids::new(0))?;
        let mut queue = self.waiting();
        match self.send_segments(from, &writing, false) {
            Ok((id, _)) => {
                self.model().handsets.settle(from, id, "sent");
                Ok(false)
            }
            Err(SendError::NoReceiver) if queue.len() < MAX_WAITING => {
                queue.push_back((from.to_owned(), writing));
                Ok(true)
            }
            Err(SendError::NoReceiver) => Err(SendError::Busy),
            Err(wrong) => Err(wrong),
        }
    }

    /// What waited for a bind goes out where there is one. When to look again, while there are binds
    /// that do not receive, or not yet.
    pub(super) fn send_waiting(&self, now: Instant) -> Option<Instant> {
        let mut queue = self.waiting();
        while let Some((from, writing)) = queue.pop_front() {
            if let Ok((id, _)) = self.send_segments(&from, &writing, false) {
                self.model().handsets.settle(&from, id, "sent");
                continue;
            }
            queue.push_front((from, writing));
            return (self.lines().len() > 0).then(|| now + LOOK);
        }
        None
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The fields of a request, by name. One that is empty is as good as none, as the form sends them all.
#[derive(Deserialize)]
#[serde(transparent)]
pub(crate) struct Injected(BTreeMap<String, String>);

/// What is wrong with one field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {reason}")]
pub(crate) struct Wrong {
    field: String,
    reason: &'static str,
}

/// Fields of the PDU that are to be others than those that the texts and numbers ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Fields {
    service_type: COctets<6>,
    source_ton: Option<Ton>,
    source_npi: Option<Npi>,
    dest_ton: Option<Ton>,
    dest_npi: Option<Npi>,
    esm_class: EsmClass,
    protocol_id: u8,
    priority_flag: u8,
    registered_delivery: RegisteredDelivery,
    data_coding: Option<DataCoding>,
    tlvs: Tlvs,
}

impl Fields {
    /// Puts them into a segment, which keeps its user data header and its own TLVs.
    pub(crate) fn dress(&self, segment: &mut DeliverSm) {
        segment.service_type = self.service_type;
        segment.source_addr_ton = self.source_ton.unwrap_or(segment.source_addr_ton);
        segment.source_addr_npi = self.source_npi.unwrap_or(segment.source_addr_npi);
        segment.dest_addr_ton = self.dest_ton.unwrap_or(segment.dest_addr_ton);
        segment.dest_addr_npi = self.dest_npi.unwrap_or(segment.dest_addr_npi);
        segment.esm_class = segment.esm_class | self.esm_class;
        segment.protocol_id = self.protocol_id;
        segment.priority_flag = self.priority_flag;
        segment.registered_delivery = self.registered_delivery;
        segment.data_coding = self.data_coding.unwrap_or(segment.data_coding);
        for tlv in &self.tlvs {
            let pushed = segment.tlvs.push(tlv.tag, tlv.value);
            debug_assert!(pushed.is_ok(), "it fitted before");
        }
    }
}

/// The optional parameters of two octets.
const WIDE: [(&str, TlvTag); 4] = [
    ("user_message_reference", TlvTag::USER_MESSAGE_REFERENCE),
    ("source_port", TlvTag::SOURCE_PORT),
    ("destination_port", TlvTag::DESTINATION_PORT),
    ("sar_msg_ref_num", TlvTag::SAR_MSG_REF_NUM),
];

/// Those of one octet.
const NARROW: [(&str, TlvTag); 6] = [
    ("sar_total_segments", TlvTag::SAR_TOTAL_SEGMENTS),
    ("sar_segment_seqnum", TlvTag::SAR_SEGMENT_SEQNUM),
    ("user_response_code", TlvTag::USER_RESPONSE_CODE),
    ("privacy_indicator", TlvTag::PRIVACY_INDICATOR),
    ("payload_type", TlvTag::PAYLOAD_TYPE),
    ("language_indicator", TlvTag::LANGUAGE_INDICATOR),
];

/// Those of any octets.
const OPEN: [(&str, TlvTag); 3] = [
    ("callback_num", TlvTag::CALLBACK_NUM),
    ("source_subaddress", TlvTag::SOURCE_SUBADDRESS),
    ("dest_subaddress", TlvTag::DEST_SUBADDRESS),
];

/// How many parameters the form has whose tags are free.
const FREE: usize = 7;

/// `data_coding` of octets: 8-bit binary, as `SMPPSim` has it.
const BINARY: u8 = 4;

impl Injected {
    /// The number of the phone.
    pub(crate) fn from(&self) -> &str {
        self.said("source_addr").unwrap_or_default()
    }

    /// What it writes.
    pub(crate) fn writing(&self) -> Result<Writing, Wrong> {
        let payload = self.said("message_payload");
        let text = payload.or_else(|| self.said("short_message"));
        let text = text.unwrap_or_default();
        // The form says 0 where nobody has thought of it.
        let coding = self.number("data_coding")?.filter(|coding| *coding > 0);
        let octets = self.octets(text)?;
        let fields = Fields {
            data_coding: octets.as_ref().and(coding).map(DataCoding),
            ..self.fields()?
        };
        // Octets are the characters of these numbers.
        let (text, coding) = match octets {
            Some(octets) => (octets.into_iter().map(char::from).collect(), Some(BINARY)),
            None => (text.to_owned(), coding),
        };
        let segmentation = match payload {
            Some(_) => Segmentation::Payload,
            None => Segmentation::default(),
        };
        Ok(Writing {
            to: self.said("destination_addr").unwrap_or_default().to_owned(),
            text: Words(text),
            data_coding: coding,
            segmentation,
            fields: Some(Box::new(fields)),
            ..Writing::default()
        })
    }

    /// What stands behind `0x`, or is marked by `format`, is octets.
    fn octets(&self, said: &str) -> Result<Option<Vec<u8>>, Wrong> {
        let hex = match said.strip_prefix("0x") {
            None => self.said("format").map(|_| said),
            hex => hex,
        };
        hex.map(|hex| octets("short_message", hex)).transpose()
    }

    fn fields(&self) -> Result<Fields, Wrong> {
        let service_type = COctets::try_from(self.said("service_type").unwrap_or_default());
        Ok(Fields {
            service_type: service_type
                .map_err(|_| wrong("service_type", "has more than 5 characters"))?,
            source_ton: self.number("source_addr_ton")?.map(Ton),
            source_npi: self.number("source_addr_npi")?.map(Npi),
            dest_ton: self.number("dest_addr_ton")?.map(Ton),
            dest_npi: self.number("dest_addr_npi")?.map(Npi),
            esm_class: EsmClass(self.octet("esm_class")?),
            protocol_id: self.octet("protocol_ID")?,
            priority_flag: self.octet("priority_flag")?,
            registered_delivery: RegisteredDelivery(self.octet("registered_delivery_flag")?),
            data_coding: None,
            tlvs: self.tlvs()?,
        })
    }

    fn tlvs(&self) -> Result<Tlvs, Wrong> {
        let mut tlvs = Tlvs::default();
        let mut push = |name: &str, tag, value: &[u8]| {
            let pushed = tlvs.push(tag, value);
            pushed.map_err(|_| wrong(name, "has too many octets"))
        };
        for (name, tag) in WIDE {
            if let Some(value) = self.number::<u16>(name)? {
                push(name, tag, &value.to_be_bytes())?;
            }
        }
        for (name, tag) in NARROW {
            if let Some(value) = self.number::<u8>(name)? {
                push(name, tag, &[value])?;
            }
        }
        for (name, tag) in OPEN {
            if let Some(value) = self.said(name) {
                push(name, tag, value.as_bytes())?;
            }
        }
        for place in 1..=FREE {
            let name = format!("tlv{place}_tag");
            if let Some(tag) = self.tag(&name)? {
                let value = format!("tlv{place}_val");
                let hex = self.said(&value).unwrap_or_default();
                push(&name, tag, &octets(&value, hex)?)?;
            }
        }
        Ok(tlvs)
    }

    /// In decimal, or in hexadecimal behind `0x`.
    fn tag(&self, name: &str) -> Result<Option<TlvTag>, Wrong> {
        match self.said(name).map(|tag| (tag, tag.strip_prefix("0x"))) {
            None => Ok(None),
            Some((_, Some(hex))) => {
                let tag = u16::from_str_radix(hex, 16);
                tag.map(|tag| Some(TlvTag(tag)))
                    .map_err(|_| wrong(name, "is no tag"))
            }
            Some((_, None)) => Ok(self.number(name)?.map(TlvTag)),
        }
    }

    fn octet(&self, name: &str) -> Result<u8, Wrong> {
        Ok(self.number(name)?.unwrap_or_default())
    }

    fn number<N: FromStr>(&self, name: &str) -> Result<Option<N>, Wrong> {
        let read = self.said(name).map(str::parse).transpose();
        read.map_err(|_| wrong(name, "is no number that fits"))
    }

    fn said(&self, name: &str) -> Option<&str> {
        let said = self.0.get(name).map(String::as_str);
        said.filter(|said| !said.is_empty())
    }
}

fn wrong(field: &str, reason: &'static str) -> Wrong {
    Wrong {
        field: field.to_owned(),
        reason,
    }
}

fn octets(name: &str, hex: &str) -> Result<Vec<u8>, Wrong> {
    let digits = hex.as_bytes().chunks(2);
    let read = digits.map(|pair| {
        let pair = std::str::from_utf8(pair)
            .ok()
            .filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    let read: Option<Vec<u8>> = read.collect();
    read.ok_or_else(|| wrong(name, "is not written in pairs of hexadecimal digits"))
}
