//! `[[route]]`: how messages reach their destinations, and what they cost.

use std::time::Duration;

use matrix_smpp_codec::{Allowed, Carriage, Charset, Language, ReferenceWidth, Splitter};

use crate::check::{label, lasts, within};
use crate::money::Money;
use crate::number::{OwnNumber, Prefix};
use crate::read::{Context, FromToml, Mend, Node, Reader};
use crate::section::{Section, section, words};

words! {
    /// What becomes of a segment whose answer never came.
    pub enum Uncertain {
        /// It waits for a delivery receipt, up to `uncertain_hold`.
        Hold = "hold",
        /// It is sent again, flagged; the handset may get it twice.
        Resend = "resend",
        /// It has failed.
        Fail = "fail",
    }
}

/// The number that handsets see as the sender.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Originator {
    /// A VMN of the named pool, leased to the conversation: handsets can answer.
    Pool(String),
    /// A shared shortcode: handsets cannot answer.
    Shortcode(OwnNumber),
}

impl FromToml for Originator {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        let wanted = "{ pool = \"uk\" } or { shortcode = \"12345\" }";
        let table = node.table(wanted)?;
        table.refuse_unknown(&["pool", "shortcode"]);
        match (table.get("pool"), table.get("shortcode")) {
            (Some(pool), None) => String::from_toml(&pool).map(Self::Pool),
            (None, Some(code)) => OwnNumber::from_toml(&code).map(Self::Shortcode),
            _ => node.wrong(format!("must name one of the two; write {wanted}")),
        }
    }
}

words! {
    /// How a text that does not fit into one SMS goes out.
    pub enum LongMessages {
        /// Segments with a user data header, their reference of 8 bits. 3GPP TS 23.040 §9.2.3.24.1.
        Udh8 = "udh8",
        /// Segments with a user data header, their reference of 16 bits. 3GPP TS 23.040 §9.2.3.24.8.
        Udh16 = "udh16",
        /// Segments with the three SAR parameters. SMPP 3.4 §5.3.2.22 to §5.3.2.24.
        Sar = "sar",
        /// One PDU, with `message_payload` where the text is long. SMPP 3.4 §5.3.2.32.
        Payload = "payload",
    }
}

impl LongMessages {
    const fn carriage(self) -> Carriage {
        match self {
            Self::Udh8 => Carriage::Header(ReferenceWidth::Eight),
            Self::Udh16 => Carriage::Header(ReferenceWidth::Sixteen),
            Self::Sar => Carriage::Sar,
            Self::Payload => Carriage::Payload,
        }
    }
}

impl FromToml for Charset {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        node.word(&[
            ("gsm7", Self::Gsm7),
            ("ucs2", Self::Ucs2),
            ("ascii", Self::Ascii),
            ("latin1", Self::Latin1),
            ("cyrillic", Self::Cyrillic),
            ("hebrew", Self::Hebrew),
            ("shift_jis", Self::ShiftJis),
            ("euc_jp", Self::EucJp),
            ("euc_kr", Self::EucKr),
        ])
    }
}

impl FromToml for Language {
    fn from_toml(node: &Node<'_>) -> Option<Self> {
        node.word(&[
            ("turkish", Self::Turkish),
            ("spanish", Self::Spanish),
            ("portuguese", Self::Portuguese),
            ("bengali", Self::Bengali),
            ("gujarati", Self::Gujarati),
            ("hindi", Self::Hindi),
            ("kannada", Self::Kannada),
            ("malayalam", Self::Malayalam),
            ("oriya", Self::Oriya),
            ("punjabi", Self::Punjabi),
            ("tamil", Self::Tamil),
            ("telugu", Self::Telugu),
            ("urdu", Self::Urdu),
        ])
    }
}

section! {
    /// A way to destinations. Of the routes whose prefixes fit, the longest prefix wins.
    pub struct Route, raw RawRoute {
        /// Its name in logs and metrics. 1 to 64 letters, digits, `-`, `_` or `.`.
        name: String = required("\"uk\""), check label;
        /// The first digits of its destinations; "" is every destination. No two routes share one.
        prefixes: Vec<Prefix> = required("[\"44\"]"), check some_prefixes;
        /// The name of the link group that carries its messages.
        link_group: String = required("\"operator\"");
        /// What handsets see as the sender: a number of a pool, which they can answer, or a
        /// shortcode, { shortcode = "12345" }, which they cannot.
        originator: Originator = required("{ pool = \"uk\" }");
        /// The price of one segment in quotes, in units of the currency, with at most 6 decimals.
        price: Money = required("\"0.045\""), check |price: &Money| not_negative(*price);
        /// Whether delivery receipts are asked for.
        receipts: bool = default("true");
        /// Whether people are shown that their messages were sent and arrived. Failures are always
        /// shown.
        progress: bool = default("true");
        /// What becomes of a segment whose answer never came: "hold" waits for a receipt, "resend"
        /// sends it again (the handset may get it twice), "fail" gives it up.
        uncertain: Uncertain = default("\"hold\"");
        /// How long "hold" waits. 1s to 7d.
        uncertain_hold: Duration = default("\"10m\""), check lasts("1s", "7d");
        /// The most segments of one message; a longer one is refused. 1 to 255.
        max_segments: u8 = default("32"), check within(1..=255);
        /// How long a message may wait for its handset before it expires. 1m to 30d.
        validity: Duration = default("\"24h\""), check lasts("1m", "30d");
        /// How long after the end of its validity a message's delivery receipt is still waited for;
        /// then it ends as sent without a receipt, until a late one comes. 1m to 30d.
        receipt_timeout: Duration = default("\"6h\""), check lasts("1m", "30d");
        /// The type of number of the originator: 1 is international. 0 to 6.
        source_ton: u8 = default("1"), check within(0..=6);
        /// The numbering plan of the originator: 1 is E.164. 0 to 18.
        source_npi: u8 = default("1"), check within(0..=18);
        /// The type of number of the destination: 1 is international. 0 to 6.
        dest_ton: u8 = default("1"), check within(0..=6);
        /// The numbering plan of the destination: 1 is E.164. 0 to 18.
        dest_npi: u8 = default("1"), check within(0..=18);
        /// The alphabets that the peer takes; each text goes out in the one that needs the fewest
        /// segments and loses nothing, and is refused where there is none. Of "gsm7", "ucs2",
        /// "ascii", "latin1", "cyrillic", "hebrew", `shift_jis`, `euc_jp` and `euc_kr`.
        alphabets: Vec<Charset> = default("[\"gsm7\", \"ucs2\"]"), check some_alphabet;
        /// The languages whose GSM tables the peer and its phones know (3GPP TS 23.038), such as
        /// "turkish", "spanish", "portuguese" or "hindi". They need a user data header, so "sar" and
        /// "payload" use none.
        national_tables: Vec<Language> = default("[]");
        /// Whether septets go out packed, 8 in 7 octets, which few peers want.
        packed_septets: bool = default("false");
        /// How a long text goes out: "udh8" in segments with a header that every phone knows, of 153
        /// characters each, "udh16" with one whose reference repeats later, of 152, "sar" in segments
        /// with SAR parameters, "payload" in one PDU with `message_payload`, which the SMSC splits (it
        /// is paid for by the segments that the SMSC will most likely make of it).
        long_messages: LongMessages = default("\"udh8\"");
    }
}

impl Route {
    /// How texts are split on this route.
    #[must_use]
    pub fn splitter(&self) -> Splitter {
        let charsets = self.alphabets.iter().copied();
        let languages = self.national_tables.iter().copied();
        Splitter {
            carriage: self.long_messages.carriage(),
            allowed: languages.fold(
                charsets.fold(Allowed::NONE, Allowed::with),
                Allowed::with_language,
            ),
            packed: self.packed_septets,
        }
    }
}

fn some_alphabet(alphabets: &impl AsRef<[Charset]>) -> Mend {
    if alphabets.as_ref().is_empty() {
        return Err("is empty; write e.g. [\"gsm7\", \"ucs2\"]".to_owned());
    }
    Ok(())
}

fn some_prefixes(prefixes: &impl AsRef<[Prefix]>) -> Mend {
    if prefixes.as_ref().is_empty() {
        return Err("is empty; write e.g. [\"44\"], or [\"\"] for every number".to_owned());
    }
    Ok(())
}

fn not_negative(price: Money) -> Mend {
    if price < Money::ZERO {
        return Err(format!("is {price}; write 0 or more"));
    }
    Ok(())
}

/// Reads every `[[route]]`; names and prefixes are unique, and what a route names exists.
pub(crate) fn read_all(
    root: &Reader<'_>,
    groups: &[String],
    pools: &[String],
) -> Option<Vec<Route>> {
    let tables = root.tables_at("route");
    let raws: Vec<RawRoute> = tables.iter().map(Reader::section).collect();
    let read = || raws.iter().zip(&tables);
    let names = read().filter_map(|(raw, table)| Some((raw.name.clone()?, table.path_of("name"))));
    root.cx.unique("the name", &names.collect::<Vec<_>>());
    let prefixes = read().flat_map(|(raw, table)| prefixes_of(raw, table));
    root.cx.unique("the prefix", &prefixes.collect::<Vec<_>>());
    for (raw, table) in read() {
        check_names(root.cx, raw, table, groups, pools);
    }
    raws.into_iter().map(Section::checked).collect()
}

fn prefixes_of(raw: &RawRoute, table: &Reader<'_>) -> Vec<(Prefix, String)> {
    let prefixes = raw.prefixes.iter().flatten().cloned().enumerate();
    prefixes
        .map(|(at, prefix)| (prefix, table.path_of(&format!("prefixes[{at}]"))))
        .collect()
}

fn check_names(
    cx: &Context<'_>,
    raw: &RawRoute,
    table: &Reader<'_>,
    groups: &[String],
    pools: &[String],
) {
    if let Some(group) = &raw.link_group {
        check_known(
            cx,
            &table.path_of("link_group"),
            "link_group",
            group,
            groups,
        );
    }
    if let Some(Originator::Pool(pool)) = &raw.originator {
        check_known(cx, &table.path_of("originator.pool"), "pool", pool, pools);
    }
}

fn check_known(cx: &Context<'_>, path: &str, what: &str, name: &str, known: &[String]) {
    if known.iter().any(|known| known == name) {
        return;
    }
    let name = crate::read::quoted(name);
    let mend = if known.is_empty() {
        format!("there is no [[{what}]]; add one with the name {name}")
    } else {
        let known = crate::read::listed(known);
        format!("there is no {what} {name}; write one of {known}, or add it")
    };
    cx.wrong(path, mend);
}
