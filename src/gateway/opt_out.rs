//! Phones that want no more texts: the words that say so.

use std::collections::HashSet;

use matrix_smpp_config::{OptOut, OptOutScope, essence};
use serde::{Deserialize, Serialize};

/// What a phone wants of the number that it texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// No more texts from it.
    Stop,
    /// No more texts from any number of ours.
    StopAll,
    /// Texts again from it, and from those that a [`Wish::StopAll`] was about.
    Start,
    /// Texts again from all.
    StartAll,
}

impl Wish {
    /// True where it wants no more.
    #[must_use]
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::Stop | Self::StopAll)
    }

    /// The word for it in metrics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        if self.is_stop() { "stop" } else { "start" }
    }
}

/// The words that phones say it with.
#[derive(Debug, Clone, Default)]
pub struct Words {
    stop: HashSet<String>,
    start: HashSet<String>,
    is_about_all: bool,
}

/// Octets of a text that can be one of the words, with room for what does not matter.
const MOST_OCTETS: usize = 160;

impl Words {
    /// Those of the configuration; none where it wants none heeded.
    #[must_use]
    pub fn new(settings: &OptOut) -> Self {
        if !settings.enabled {
            return Self::default();
        }
        let all = |words: &[String]| words.iter().map(|word| essence(word)).collect();
        Self {
            stop: all(&settings.stop_words),
            start: all(&settings.start_words),
            is_about_all: settings.scope == OptOutScope::All,
        }
    }

    /// False for what is too long to be one of them, so that it need not be read.
    #[must_use]
    pub fn may_be(&self, octets: usize) -> bool {
        octets <= MOST_OCTETS && !(self.stop.is_empty() && self.start.is_empty())
    }

    /// What a whole text wants; `None` for one that says something else, or more.
    #[must_use]
    pub fn wish(&self, text: &str) -> Option<Wish> {
        let said = essence(text);
        match (self.stop.contains(&said), self.is_about_all) {
            (true, false) => Some(Wish::Stop),
            (true, true) => Some(Wish::StopAll),
            (false, _) if !self.start.contains(&said) => None,
            (false, false) => Some(Wish::Start),
            (false, true) => Some(Wish::StartAll),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use matrix_smpp_config::ProcessEnv;
    use proptest::prelude::*;

    use super::*;

    /// Those of a configuration that says nothing of it.
    fn settings() -> OptOut {
        let text = r#"
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
            originator = { shortcode = "12345" }
            price = "0.01"
            "#;
        let settings = matrix_smpp_config::parse(text, Path::new("test.toml"), &ProcessEnv);
        settings.unwrap().opt_out
    }

    fn words() -> Words {
        Words::new(&settings())
    }

    #[test]
    fn every_word_of_the_fcc_and_of_aggregators_stops_texts() {
        // 47 CFR 64.1200(a)(10), and what AWS wants of a number's keywords.
        for word in [
            "stop",
            "quit",
            "end",
            "revoke",
            "opt out",
            "cancel",
            "unsubscribe",
            "ARRET",
            "CANCEL",
            "END",
            "OPT-OUT",
            "OPTOUT",
            "QUIT",
            "REMOVE",
            "STOP",
            "TD",
            "UNSUBSCRIBE",
            "STOPALL",
            "Arrêt",
        ] {
            assert_eq!(words().wish(word), Some(Wish::Stop), "{word}");
        }
        for word in ["START", "unstop"] {
            assert_eq!(words().wish(word), Some(Wish::Start), "{word}");
        }
    }

    #[test]
    fn a_text_that_says_more_is_for_people() {
        for text in [
            "",
            "!",
            "yes",
            "please stop",
            "stop it",
            "stop 1",
            "Stop by at 6?",
            "the end",
            "I quit",
            "no",
        ] {
            assert_eq!(words().wish(text), None, "{text}");
        }
    }

    #[test]
    fn the_scope_of_the_configuration_is_that_of_the_wish() {
        let words = Words::new(&OptOut {
            scope: OptOutScope::All,
            ..settings()
        });
        assert_eq!(words.wish("stop"), Some(Wish::StopAll));
        assert_eq!(words.wish("start"), Some(Wish::StartAll));
    }

    #[test]
    fn nothing_is_heeded_where_that_is_not_wanted() {
        let words = Words::new(&OptOut {
            enabled: false,
            ..settings()
        });
        assert_eq!(words.wish("stop"), None);
        assert!(!words.may_be(4));
        assert!(self::words().may_be(4) && !self::words().may_be(161));
    }

    proptest! {
        #[test]
        fn case_space_and_punctuation_do_not_matter(
            which in 0_usize..12,
            upper in prop::collection::vec(any::<bool>(), 12),
            around in prop::collection::vec("[ \\t\\r\\n.,!?\"'()*:;_-]{0,3}", 13),
        ) {
            let settings = settings();
            let word = &settings.stop_words[which % settings.stop_words.len()];
            let mut text = around[0].clone();
            for (place, letter) in word.chars().enumerate() {
                let is_upper = upper[place % upper.len()];
                if is_upper { text.extend(letter.to_uppercase()) } else { text.extend(letter.to_lowercase()) }
                text.push_str(&around[(place + 1) % around.len()]);
            }
            prop_assert_eq!(words().wish(&text), Some(Wish::Stop), "{}", text);
        }

        #[test]
        fn a_word_among_others_is_none(before in "[a-z]{1,9}", after in "[a-z0-9]{1,9}") {
            // None of the words ends or begins with another one and these letters.
            prop_assume!(!["un", "opt"].contains(&&*before) && after != "all");
            for text in [format!("{before} stop"), format!("stop {after}"), format!("{before} end {after}")] {
                prop_assert_eq!(words().wish(&text), None, "{}", text);
            }
        }
    }
}
