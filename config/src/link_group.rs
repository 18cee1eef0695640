//! `[[link_group]]`: one account at a peer, with all of its links.

use matrix_smpp_codec::{IdForm, Quirks};

use crate::check::{country_code, label};
use crate::link::{self, Link};
use crate::quirks::RawQuirkKeys;
use crate::read::{Context, Reader};
use crate::section::{Section, section, words};

words! {
    /// How an SMS is answered whose handset holds no lease of the VMN that it was sent to.
    pub enum MoUnleased {
        /// It is accepted and dropped.
        Drop = "drop",
        /// The SMSC is told that the destination is wrong (`ESME_RINVDSTADR`).
        Reject = "reject",
    }
}

words! {
    /// How a peer's receipts write the message ids of its answers.
    pub enum MessageIds {
        /// In the way that receipts themselves have shown.
        Learn = "learn",
        /// The same but for case, leading zeros and `0x`.
        Same = "same",
        /// Hexadecimal in the answer, decimal in the receipt.
        HexToDecimal = "hex_to_decimal",
        /// Decimal in the answer, hexadecimal in the receipt.
        DecimalToHex = "decimal_to_hex",
    }
}

impl MessageIds {
    /// The form that is sure; `None` where it is to be learnt.
    #[must_use]
    pub const fn form(self) -> Option<IdForm> {
        match self {
            Self::Learn => None,
            Self::Same => Some(IdForm::Same),
            Self::HexToDecimal => Some(IdForm::DecimalOfHex),
            Self::DecimalToHex => Some(IdForm::HexOfDecimal),
        }
    }
}

section! {
    /// An account at an SMSC or aggregator. Segments and receipts may use any of its links.
    pub struct LinkGroup, raw RawLinkGroup {
        /// The name that routes use. It is part of the keys in the store, so it must not change.
        /// 1 to 64 letters, digits, `-`, `_` or `.`.
        name: String = required("\"operator\""), check label;
        /// The country code of the numbers that the peer writes in national form. Without it a sender
        /// in national form has no number that can be texted. 1 to 3 digits.
        country_code: Option<String> = optional("\"44\""), check country_code;
        /// How an SMS to one of our numbers is answered when its handset has no conversation there:
        /// "drop" accepts and drops it, "reject" tells the SMSC that the destination is wrong.
        mo_unleased: MoUnleased = default("\"drop\"");
        /// How the peer's receipts write the ids of its answers: `same` (case, leading zeros and 0x
        /// never count), `hex_to_decimal` (hexadecimal in the answer), `decimal_to_hex`, or `learn`,
        /// which tells it from ids that can only be meant in one way.
        message_ids: MessageIds = default("\"learn\"");
        /// What the peer does otherwise than SMPP 3.4 says.
        quirks: Quirks = nested(RawQuirkKeys::FIELDS);
        /// The links; at least one. A `bind = "pair"` gives two.
        links: Vec<Link> = tables("link");
    }
}

/// Reads every `[[link_group]]`; no two share a name. Gives the names too, with their paths.
pub(crate) fn read_all(root: &Reader<'_>) -> (Option<Vec<LinkGroup>>, Vec<String>) {
    let raws: Vec<_> = root.tables_at("link_group").iter().map(read).collect();
    let names: Vec<_> = raws
        .iter()
        .filter_map(|(path, raw)| Some((raw.name.clone()?, path)))
        .collect();
    check_names(root.cx, &names);
    let known = names.into_iter().map(|(name, _)| name).collect();
    (
        raws.into_iter().map(|(_, raw)| raw.checked()).collect(),
        known,
    )
}

fn read(table: &Reader<'_>) -> (String, RawLinkGroup) {
    let mut raw: RawLinkGroup = table.section();
    raw.links = link::read_all(table);
    (table.path.clone(), raw)
}

fn check_names(cx: &Context<'_>, names: &[(String, &String)]) {
    let names = names
        .iter()
        .map(|(name, path)| (name, format!("{path}.name")));
    cx.unique("the name", &names.collect::<Vec<_>>());
}
