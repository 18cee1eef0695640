//! How a text gets to a phone: its route, its segments, its price, its sender.

use std::fmt;

use matrix_smpp_codec::e164::E164;
use matrix_smpp_codec::segment::Segments;
use matrix_smpp_config::{Money, Numbers, Originator, Route, Routing, Uncertain};
use ruma::OwnedUserId;

use super::message::{NewMessage, OriginatorPlan};
use super::model::{Conversation, MessageId, Source, Timestamp, UncertainPolicy};

/// Why a text cannot be sent, found before the store is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unplannable {
    /// The ghost stands for a sender that cannot be texted.
    InboundOnly,
    /// No route leads to the number.
    NoRoute,
    /// The number is one of the gateway's own.
    OwnNumber,
    /// No alphabet that the route's peer takes has all of its characters.
    NoAlphabet,
    /// It would take more segments than the route allows.
    TooLong {
        /// How many it would take.
        segments: usize,
        /// How many the route allows.
        max: usize,
    },
}

/// A text on its way into a conversation.
#[derive(Clone)]
pub struct Draft<'a> {
    /// Where it comes from.
    pub source: Source,
    /// Where it goes.
    pub conversation: &'a Conversation,
    /// Whose credit it uses.
    pub payer: OwnedUserId,
    /// As the phone will see it.
    pub text: &'a str,
    /// Numbers of the conversation's owner, tried before the route's pool.
    pub dedicated: Vec<E164>,
    /// How many messages may wait or be under way in all.
    pub most_waiting: usize,
    /// Now.
    pub now: Timestamp,
}

impl fmt::Debug for Draft<'_> {
    /// Everything but the text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, payer, .. } = self;
        f.debug_struct("Draft")
            .field("source", source)
            .field("payer", payer)
            .finish_non_exhaustive()
    }
}

/// The route to a number, or why there is none.
pub fn route_to(routing: &Routing, number: E164) -> Result<&Route, Unplannable> {
    if routing.is_own_number(&number.to_string()) {
        return Err(Unplannable::OwnNumber);
    }
    routing.route_for(&number).ok_or(Unplannable::NoRoute)
}

/// What a text costs on a route, its name of a speaker not included; one segment where there is no
/// text yet, or none that can be sent.
#[must_use]
pub fn cost(route: &Route, text: &str) -> Money {
    let preview = route.splitter().preview(text);
    times(
        route.price,
        preview.map_or(1, |preview| preview.segments.max(1)),
    )
}

fn times(price: Money, count: usize) -> Money {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    price.checked_mul(count).unwrap_or(Money::MAX)
}

/// The text as the route's peer takes it, and the price of each PDU of it: one that the SMSC splits
/// costs what its segments do.
fn split(route: &Route, text: &str) -> Result<(Segments, Money), Unplannable> {
    let splitter = route.splitter();
    let preview = splitter.preview(text);
    let on_the_air = preview.map_err(|_| Unplannable::NoAlphabet)?.segments;
    let max = usize::from(route.max_segments);
    let too_long = Unplannable::TooLong {
        segments: on_the_air,
        max,
    };
    if on_the_air > max {
        return Err(too_long);
    }
    let segments = splitter.split(text).map_err(|_| too_long)?;
    let each = on_the_air / segments.parts.len().max(1);
    Ok((segments, times(route.price, each.max(1))))
}

/// Everything the store needs to accept the message.
pub fn plan(routing: &Routing, draft: Draft<'_>) -> Result<NewMessage, Unplannable> {
    let number = draft
        .conversation
        .handset
        .number()
        .ok_or(Unplannable::InboundOnly)?;
    let route = route_to(routing, number)?;
    let (segments, price) = split(route, draft.text)?;
    Ok(NewMessage {
        id: MessageId::of(&draft.source, draft.conversation.id),
        source: draft.source,
        conversation: draft.conversation.id,
        destination: number,
        payer: draft.payer,
        route: route.name.clone(),
        link_group: route.link_group.clone(),
        originators: originators(routing, route, draft.dedicated),
        price,
        segments,
        // The answer of an account that binds to us is the last word (SMPP 3.4 §4.6.2).
        receipts: route.receipts && !routing.is_account(&route.link_group),
        progress: route.progress,
        uncertain: policy(route),
        most_waiting: draft.most_waiting,
        valid_until: draft.now.after(route.validity),
        receipt_by: draft.now.after(route.validity + route.receipt_timeout),
        fraud: routing.fraud.clone(),
        now: draft.now,
    })
}

fn policy(route: &Route) -> UncertainPolicy {
    match route.uncertain {
        Uncertain::Hold => {
            let hold = route.uncertain_hold.as_millis();
            UncertainPolicy::Hold(i64::try_from(hold).unwrap_or(i64::MAX))
        }
        Uncertain::Resend => UncertainPolicy::Resend,
        Uncertain::Fail => UncertainPolicy::Fail,
    }
}

fn originators(routing: &Routing, route: &Route, dedicated: Vec<E164>) -> OriginatorPlan {
    match &route.originator {
        Originator::Shortcode(code) => OriginatorPlan::Shortcode(code.as_str().to_owned()),
        Originator::Pool(name) => {
            let pool = routing.pools.iter().find(|pool| pool.name == *name);
            let numbers = pool.map_or_else(
                || Numbers { ranges: Vec::new() },
                |pool| pool.numbers.clone(),
            );
            OriginatorPlan::Vmns {
                pool: name.clone(),
                dedicated,
                numbers,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use matrix_smpp_config::ProcessEnv;

    use super::*;

    fn route(more: &str) -> Route {
        let text = format!(
            r#"
            [[homeserver]]
            name = "example.org"
            url = "http://127.0.0.1:8008"
            as_token = "0123456789abcdef0123456789abcdef"
            hs_token = "fedcba9876543210fedcba9876543210"
            [[link_group]]
            name = "operator"
            [[link_group.link]]
            name = "a"
            address = "127.0.0.1:2775"
            system_id = "smsgw"
            password = "secret"
            [[route]]
            name = "uk"
            prefixes = ["44"]
            link_group = "operator"
            originator = {{ shortcode = "12345" }}
            price = "0.01"
            max_segments = 3
            {more}
            "#
        );
        let settings = matrix_smpp_config::parse(&text, Path::new("test.toml"), &ProcessEnv);
        settings.unwrap().routing.routes.remove(0)
    }

    #[test]
    fn a_text_costs_the_same_whoever_splits_it() {
        let text = "x".repeat(300);
        for (way, parts) in [("udh8", 2), ("udh16", 2), ("sar", 2), ("payload", 1)] {
            let route = route(&format!("long_messages = \"{way}\""));
            let (segments, each) = split(&route, &text).unwrap();
            assert_eq!(segments.parts.len(), parts, "{way}");
            assert_eq!(times(each, parts), times(route.price, 2), "{way}");
            assert_eq!(cost(&route, &text), times(route.price, 2), "{way}");
        }
    }

    #[test]
    fn the_limit_counts_what_the_smsc_makes_of_a_payload() {
        let route = route("long_messages = \"payload\"");
        let refused = split(&route, &"x".repeat(154 * 3)).unwrap_err();
        let too_long = Unplannable::TooLong {
            segments: 4,
            max: 3,
        };
        assert_eq!(refused, too_long);
    }

    #[test]
    fn a_route_sends_in_its_own_alphabets() {
        let turkish = "Yarın görüşürüz, iyi akşamlar. ".repeat(4);
        let plain = split(&route(""), &turkish).unwrap().0;
        let tables = split(&route("national_tables = [\"turkish\"]"), &turkish);
        assert_eq!(plain.parts.len(), 2);
        assert_eq!(tables.unwrap().0.parts.len(), 1);
        let latin1 = split(&route("alphabets = [\"latin1\"]"), "déjà vu").unwrap();
        assert_eq!(latin1.0.data_coding.0, 3);
        let gsm7 = route("alphabets = [\"gsm7\"]");
        assert_eq!(split(&gsm7, "Ж").unwrap_err(), Unplannable::NoAlphabet);
        assert_eq!(cost(&gsm7, "Ж"), gsm7.price);
    }
}
