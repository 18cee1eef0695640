//! `[opt_out]`: phones that want no more texts.

use crate::read::{Mend, Reader, quoted};
use crate::section::{section, words};

words! {
    /// From which numbers a phone is not texted any more.
    pub enum OptOutScope {
        /// From the one that it texted, and from any other by whoever holds that one for it.
        Number = "number",
        /// From all of the gateway's.
        All = "all",
    }
}

section! {
    /// What a phone says to be texted no more, and to be texted again. A text counts that says one of these
    /// words and nothing else; case, spaces and punctuation do not matter. It is shown in its room like any other.
    pub struct OptOut, raw RawOptOut {
        /// Whether the gateway heeds them. Laws of many countries want that somebody does.
        enabled: bool = default("true");
        /// From which numbers the phone is not texted any more: "number" (that which it texted, and any other
        /// that the same person would text it from) or "all".
        scope: OptOutScope = default("\"number\"");
        /// Words that stop texts. These are what the FCC names (47 CFR 64.1200(a)(10)), what
        /// aggregators want beyond that, and the French ones.
        stop_words: Vec<String> = default(
            "[\"STOP\", \"STOPALL\", \"QUIT\", \"END\", \"REVOKE\", \"OPT OUT\", \"CANCEL\", \"UNSUBSCRIBE\", \
             \"REMOVE\", \"TD\", \"ARRET\", \"ARRÊT\"]"
        ), check all_words;
        /// Words that take that back. YES is not among them: people say it to each other.
        start_words: Vec<String> = default("[\"START\", \"UNSTOP\"]"), check all_words;
    }
}

/// Checks that there is something of each to compare, and that a person would type it.
fn all_words(words: &impl AsRef<[String]>) -> Mend {
    let is_word =
        |word: &&String| word.chars().any(char::is_alphanumeric) && word.chars().count() <= 32;
    match words.as_ref().iter().find(|word| !is_word(word)) {
        None => Ok(()),
        Some(word) => Err(format!(
            "{} is no such word; write at most 32 characters, with a letter or a digit among them",
            quoted(word)
        )),
    }
}

/// Reports a word that would stop texts and take that back.
pub(crate) fn check(root: &Reader<'_>, opt_out: &RawOptOut) {
    let (Some(stop), Some(start)) = (&opt_out.stop_words, &opt_out.start_words) else {
        return;
    };
    let stop: Vec<String> = stop.iter().map(|word| essence(word)).collect();
    if let Some(both) = start.iter().find(|word| stop.contains(&essence(word))) {
        let mend = format!(
            "has {}, as stop_words has; write it in one of them",
            quoted(both)
        );
        root.cx.wrong("opt_out.start_words", mend);
    }
}

/// What of a text matters where it is compared with a word: its letters and digits, small.
#[must_use]
pub fn essence(text: &str) -> String {
    let letters = text.chars().filter(|one| one.is_alphanumeric());
    letters.flat_map(char::to_lowercase).collect()
}
