//! What two lists of named things have in common, and what not.

use std::collections::BTreeMap;

/// What was not there before, what is no more, and what is otherwise; by name, in the order of names.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// New ones.
    pub added: Vec<String>,
    /// Those that are gone.
    pub removed: Vec<String>,
    /// Those that are otherwise.
    pub changed: Vec<String>,
}

impl Changes {
    /// From what was there `before` to what is `now`, where `is_other` tells two of one name apart.
    pub fn between<A, B>(
        before: &BTreeMap<&str, A>,
        now: &BTreeMap<&str, B>,
        is_other: impl Fn(&A, &B) -> bool,
    ) -> Self {
        let owned = |name: &&str| (*name).to_owned();
        let gone = |name: &&&str| !now.contains_key(**name);
        let new = |name: &&&str| !before.contains_key(**name);
        let other = |(name, one): &(&&str, &B)| {
            let old = before.get(**name);
            old.is_some_and(|old| is_other(old, one))
        };
        Self {
            added: now.keys().filter(new).map(owned).collect(),
            removed: before.keys().filter(gone).map(owned).collect(),
            changed: now
                .iter()
                .filter(other)
                .map(|(name, _)| owned(name))
                .collect(),
        }
    }

    /// Of things that tell their names.
    pub fn of<'a, T: PartialEq>(before: &'a [T], now: &'a [T], name: fn(&'a T) -> &'a str) -> Self {
        let named = |all: &'a [T]| -> BTreeMap<&'a str, &'a T> {
            all.iter().map(|one| (name(one), one)).collect()
        };
        Self::between(&named(before), &named(now), |old, new| old != new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_went_and_changed_is_told_by_name() {
        let before = [("a", 1), ("b", 1), ("c", 1)];
        let now = [("d", 1), ("c", 1), ("b", 2)];
        let changes = Changes::of(&before, &now, |one| one.0);
        let names = |name: &str| vec![name.to_owned()];
        assert_eq!(
            changes,
            Changes {
                added: names("d"),
                removed: names("a"),
                changed: names("b"),
            }
        );
        let same = Changes::of(&before, &before, |one| one.0);
        assert_eq!(same, Changes::default());
    }
}
