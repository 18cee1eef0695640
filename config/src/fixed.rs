//! What a gateway reads at its start alone.

use crate::homeserver::Homeserver;
use crate::link_group::LinkGroup;
use crate::settings::Settings;

impl Settings {
    /// The keys of which another configuration says otherwise and that hold from a gateway's start to
    /// its end: all but those of [`Routing`](crate::Routing) and of the accounts that bind to it.
    /// Such as `limits.retry_first`, `link_group operator.link` or, for one that is new or gone,
    /// `link_group operator`.
    #[must_use]
    pub fn fixed_changes(&self, other: &Self) -> Vec<String> {
        let single = [
            ("gateway", self.gateway.changed(&other.gateway)),
            ("store", self.store.changed(&other.store)),
            ("appservice", self.appservice.changed(&other.appservice)),
            ("ops", self.ops.changed(&other.ops)),
            ("log", self.log.changed(&other.log)),
            ("listener", self.listener.changed(&other.listener)),
            ("opt_out", self.opt_out.changed(&other.opt_out)),
            ("limits", self.limits.changed(&other.limits)),
        ];
        let single = single
            .into_iter()
            .map(|(name, keys)| (name.to_owned(), Some(keys)));
        let homeservers = named(
            (&self.homeservers, &other.homeservers),
            |one| format!("homeserver {}", one.name),
            Homeserver::changed,
        );
        let link_groups = named(
            (&self.link_groups, &other.link_groups),
            |one| format!("link_group {}", one.name),
            LinkGroup::changed,
        );
        let all = single.chain(homeservers).chain(link_groups);
        all.flat_map(|(table, keys)| keys_of(&table, keys))
            .collect()
    }
}

type Keys = Option<Vec<&'static str>>;

/// Each table by its name, with the keys that differ; without any where it is on one side alone.
fn named<T>(
    (before, after): (&[T], &[T]),
    name: impl Fn(&T) -> String,
    changed: impl Fn(&T, &T) -> Vec<&'static str>,
) -> Vec<(String, Keys)> {
    let of = |all: &[T], wanted: &str| all.iter().position(|one| name(one) == wanted);
    let mut found: Vec<_> = before
        .iter()
        .map(|one| {
            let same = of(after, &name(one)).and_then(|at| after.get(at));
            (name(one), same.map(|other| changed(one, other)))
        })
        .collect();
    let new = after.iter().filter(|one| of(before, &name(one)).is_none());
    found.extend(new.map(|one| (name(one), None)));
    found
}

fn keys_of(table: &str, keys: Keys) -> Vec<String> {
    match keys {
        None => vec![table.to_owned()],
        Some(keys) => keys.iter().map(|key| format!("{table}.{key}")).collect(),
    }
}
