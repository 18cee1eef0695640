//! How the peer of a link group is met.

use std::time::Duration;

use matrix_smpp_codec::{IdForm, Quirks};
use matrix_smpp_config::{Esme, LinkGroup, MoUnleased};

/// What the config says of the peer of a link group, and which end it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Terms {
    pub(super) group: String,
    pub(super) side: Side,
    pub(super) unleased: MoUnleased,
    pub(super) quirks: Quirks,
    /// How its receipts write the ids of its answers; `None` where that is to be learnt.
    pub(super) id_form: Option<IdForm>,
    /// Of numbers in national form.
    pub(super) country_code: Option<String>,
}

/// Which end of the link the peer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// An SMSC, to which we bind: `submit_sm` goes out, `deliver_sm` comes in.
    Smsc,
    /// An account that binds to us: `deliver_sm` goes out, `submit_sm` comes in.
    Esme {
        /// How long receipts wait for it.
        receipt_age: Duration,
    },
}

impl From<&LinkGroup> for Terms {
    fn from(group: &LinkGroup) -> Self {
        Self {
            group: group.name.clone(),
            side: Side::Smsc,
            unleased: group.mo_unleased,
            quirks: group.quirks,
            id_form: group.message_ids.form(),
            country_code: group.country_code.clone(),
        }
    }
}

impl From<&Esme> for Terms {
    fn from(esme: &Esme) -> Self {
        Self {
            group: esme.name.clone(),
            side: Side::Esme {
                receipt_age: esme.receipt_age,
            },
            unleased: esme.mo_unleased,
            quirks: esme.quirks,
            id_form: None,
            country_code: esme.country_code.clone(),
        }
    }
}
