//! Distribution lists, for `submit_multi` (SMPP 3.4 §5.2.27).

use serde::{Deserialize, Serialize};

use crate::sim::mo::{MoError, Party};
use crate::sim::requests::Destination;

/// The most octets of a name (SMPP 3.4 §5.2.27).
const MAX_NAME: usize = 20;

/// How many lists there may be, and how many members of one.
const MAX_LISTS: usize = 1_000;
const MAX_MEMBERS: usize = 10_000;

/// One list, as `[[distribution_list]]` has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct List {
    /// `dl_name`.
    pub(crate) name: String,
    /// Numbers.
    pub(crate) members: Vec<String>,
}

/// The lists that there are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Lists(Vec<List>);

impl Lists {
    /// The phones of a list; none where there is no such list.
    pub(crate) fn members(&self, name: &str) -> Option<Vec<Destination>> {
        let list = self.0.iter().find(|list| list.name == name)?;
        let parties = list
            .members
            .iter()
            .filter_map(|member| Party::parse(member));
        Some(parties.map(Destination::from).collect())
    }

    /// Whether they make sense, or what does not.
    pub(crate) fn check(&self) -> Result<(), String> {
        if self.0.len() > MAX_LISTS {
            return Err(format!("there are at most {MAX_LISTS}"));
        }
        self.0.iter().try_for_each(List::check)
    }
}

impl List {
    fn check(&self) -> Result<(), String> {
        let Self { name, members } = self;
        if name.is_empty() || name.len() > MAX_NAME || !name.is_ascii() {
            return Err(format!("a name has 1 to {MAX_NAME} octets of ASCII"));
        }
        if members.is_empty() || members.len() > MAX_MEMBERS {
            return Err(format!("{name} has to have 1 to {MAX_MEMBERS} members"));
        }
        if members.iter().any(|member| Party::parse(member).is_none()) {
            return Err(format!("{name}: {}", MoError::BadNumber));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists(json: &str) -> Lists {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn a_list_stands_for_its_members() {
        let lists = lists(r#"[{"name": "staff", "members": ["+447700900001", "60777"]}]"#);
        lists.check().unwrap();
        let members = lists.members("staff").unwrap();
        let numbers: Vec<_> = members.iter().map(|one| one.address.to_text()).collect();
        assert_eq!(numbers, ["447700900001", "60777"]);
        assert!(lists.members("others").is_none());
    }

    #[test]
    fn a_list_that_makes_no_sense_is_refused() {
        for wrong in [
            r#"[{"name": "", "members": ["1"]}]"#,
            r#"[{"name": "a name that is much too long", "members": ["1"]}]"#,
            r#"[{"name": "nobody", "members": []}]"#,
            r#"[{"name": "typo", "members": ["447700900001234567890123"]}]"#,
        ] {
            assert!(lists(wrong).check().is_err(), "{wrong}");
        }
    }
}
