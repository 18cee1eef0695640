//! `[log]`: how the gateway writes its log.

use crate::check::is_printable_ascii;
use crate::read::Mend;
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
        /// What is logged: error, warn, info, debug or trace, for parts of the program too,
        /// e.g. `info,matrix_smpp::smsc=debug`.
        level: String = default("\"info\""), check level;
    }
}

fn level(text: &impl AsRef<str>) -> Mend {
    let text = text.as_ref();
    if !text.is_empty() && is_printable_ascii(text) {
        return Ok(());
    }
    Err("is not a level; write e.g. \"info\" or \"info,matrix_smpp::smsc=debug\"".to_owned())
}
