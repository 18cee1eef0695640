//! `[log]`: how the gateway writes its log.

use crate::check::is_printable_ascii;
use crate::read::{Mend, quoted};
use crate::section::{section, words};

words! {
    /// The form of log lines.
    pub enum LogFormat {
        /// One line of text for each event.
        Text = "text",
        /// One JSON object for each event.
        Json = "json",
    }
}

section! {
    /// The log, written to standard error.
    pub struct Log, raw RawLog {
        /// The form of its lines: "text" or "json".
        format: LogFormat = default("\"text\"");
        /// What is logged: error, warn, info, debug, trace or off, for parts of the program too,
        /// e.g. `info,matrix_smpp::smsc=debug`.
        level: String = default("\"info\""), check level;
    }
}

/// A level, or several words with commas between them: levels for parts of the program.
fn level(text: &impl AsRef<str>) -> Mend {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.iter().any(|level| level.eq_ignore_ascii_case(word));
    let fits = |word: &str| match word.split_once('=') {
        Some((part, level)) => !part.is_empty() && is_printable_ascii(part) && is_level(level),
        None => is_level(word),
    };
    match text.as_ref().split(',').find(|word| !fits(word)) {
        None => Ok(()),
        Some(word) => Err(format!(
            "{} is not a level; write error, warn, info, debug, trace or off, for a part of the \
             program too: \"info,matrix_smpp::smsc=debug\"",
            quoted(word)
        )),
    }
}
