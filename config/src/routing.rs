//! Where texts go, whose numbers they come from and how many may go: what may be read again while a
//! gateway runs.

use matrix_smpp_codec::e164::E164;
use ruma::UserId;

use crate::fraud::Fraud;
use crate::pool::{Dedicated, Pool};
use crate::route::{Originator, Route};

/// The routes, and the operator's own numbers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Routing {
    /// The routes; names and prefixes are unique.
    pub routes: Vec<Route>,
    /// The pools of VMNs; names are unique, and no number is in two.
    pub pools: Vec<Pool>,
    /// The dedicated numbers; each is here once and in no pool.
    pub dedicated: Vec<Dedicated>,
    /// The accounts that bind to us, by the names that routes have for them.
    pub accounts: Vec<String>,
    /// The limits against pumped traffic.
    pub fraud: Fraud,
}

impl Routing {
    /// The route of a destination: the one with the longest prefix that fits.
    #[must_use]
    pub fn route_for(&self, destination: &E164) -> Option<&Route> {
        let prefixes = self.routes.iter().flat_map(|route| {
            route
                .prefixes
                .iter()
                .map(move |prefix| (prefix.as_str(), route))
        });
        let fitting = prefixes.filter(|(prefix, _)| destination.as_str().starts_with(prefix));
        fitting
            .max_by_key(|(prefix, _)| prefix.len())
            .map(|(_, route)| route)
    }

    /// The Matrix user whom a dedicated number (a VMN or a shortcode, digits only) belongs to.
    #[must_use]
    pub fn dedicated_owner(&self, number: &str) -> Option<&UserId> {
        let found = self
            .dedicated
            .iter()
            .find(|dedicated| dedicated.number.as_str() == number);
        found.map(|dedicated| dedicated.owner.as_ref())
    }

    /// Whether a number (digits only) is our own: in a pool, dedicated, or a route's shortcode.
    #[must_use]
    pub fn is_own_number(&self, number: &str) -> bool {
        self.dedicated_owner(number).is_some()
            || self
                .routes
                .iter()
                .any(|route| is_shortcode(&route.originator, number))
            || self.pool_of(number).is_some()
    }

    /// The pool that a number (digits only) is in.
    #[must_use]
    pub fn pool_of(&self, number: &str) -> Option<&Pool> {
        let number = number.parse().ok()?;
        self.pools
            .iter()
            .find(|pool| pool.numbers.contains(&number))
    }

    /// Whether a link group is an account that binds to us.
    #[must_use]
    pub fn is_account(&self, link_group: &str) -> bool {
        self.accounts.iter().any(|name| name == link_group)
    }
}

fn is_shortcode(originator: &Originator, number: &str) -> bool {
    matches!(originator, Originator::Shortcode(code) if code.as_str() == number)
}
