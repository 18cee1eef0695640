//! Messages that come back to ESMEs, octet by octet.

use matrix_smpp_codec::{Address, DeliverSm, EsmClass, SubmitSm};
use serde::de::{Error, Unexpected};
use serde::{Deserialize, Deserializer, Serialize};

use crate::sim::written::{self, Written};

/// Which ESME gets a message that was submitted, beside its phone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Loopback {
    /// None.
    #[default]
    None,
    /// The one that submitted it, its addresses swapped: `LOOPBACK` of `SMPPSim`.
    Sender,
    /// The one that last sent from the number it goes to, else any: `ESME_TO_ESME` of `SMPPSim`.
    Recipient,
}

impl Written for Loopback {
    const WAYS: &'static str = r#""none", "sender" or "recipient""#;

    fn from_word<E: Error>(word: &str) -> Result<Self, E> {
        match word {
            "none" => Ok(Self::None),
            "sender" => Ok(Self::Sender),
            "recipient" => Ok(Self::Recipient),
            other => Err(E::invalid_value(Unexpected::Str(other), &Self::WAYS)),
        }
    }
}

impl<'de> Deserialize<'de> for Loopback {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        written::read(deserializer)
    }
}

impl Loopback {
    /// The message as the ESME gets it: its text, coding, header and optional parameters as they came.
    pub(crate) fn pdu(self, sm: &SubmitSm) -> DeliverSm {
        let source = (sm.source_addr_ton, sm.source_addr_npi, sm.source_addr);
        let narrow = Address::try_from(sm.destination_addr.as_bytes()).unwrap_or_default();
        let dest = (sm.dest_addr_ton, sm.dest_addr_npi, narrow);
        let (source, dest) = match self {
            Self::Sender => (dest, source),
            Self::None | Self::Recipient => (source, dest),
        };
        DeliverSm {
            service_type: sm.service_type,
            source_addr_ton: source.0,
            source_addr_npi: source.1,
            source_addr: source.2,
            dest_addr_ton: dest.0,
            dest_addr_npi: dest.1,
            destination_addr: dest.2,
            // The modes are of a submission alone (SMPP 3.4 §5.2.12).
            esm_class: EsmClass(sm.esm_class.0 & !EsmClass::STORE_AND_FORWARD.0),
            protocol_id: sm.protocol_id,
            priority_flag: sm.priority_flag,
            data_coding: sm.data_coding,
            short_message: sm.short_message.clone(),
            tlvs: sm.tlvs.clone(),
            ..DeliverSm::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_smppsim_writes_is_told_what_to_write_here() {
        for wrong in ["true", "\"TRUE\"", "1"] {
            let told = serde_json::from_str::<Loopback>(wrong).unwrap_err();
            let mend = r#"expected "none", "sender" or "recipient""#;
            assert!(told.to_string().contains(mend), "{wrong}: {told}");
        }
        let sender = serde_json::from_str::<Loopback>(r#""sender""#).unwrap();
        assert_eq!(sender, Loopback::Sender);
    }
}
