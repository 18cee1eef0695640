//! What people say to the bot.

use matrix_smpp_codec::e164::E164;

use super::number::{self, NumberError};

/// The prefix of a command outside the bot's own room.
pub const PREFIX: &str = "!sms";

/// A command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// What can be said.
    Help,
    /// The writer's credit.
    Balance,
    /// What a text to this number costs.
    Price(E164),
    /// Start a conversation with this number in a new room, with a first text if one is given.
    Text(E164, Option<String>),
    /// Who is in this room, and which numbers phones see.
    Who,
    /// A number that is none.
    BadNumber(String, NumberError),
    /// Something else.
    Unknown(String),
}

/// Reads a command from a message: bare words in the bot's own room, after [`PREFIX`] elsewhere.
/// `None` for a message that is none.
#[must_use]
pub fn parse(body: &str, own_room: bool) -> Option<Command> {
    let body = body.trim();
    let words = match strip_prefix_word(body) {
        Some(rest) => rest,
        None if own_room => body,
        None => return None,
    };
    Some(command(words))
}

fn strip_prefix_word(body: &str) -> Option<&str> {
    let rest = body.strip_prefix(PREFIX)?;
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

fn command(words: &str) -> Command {
    let (verb, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    match verb.to_lowercase().as_str() {
        "" | "help" => Command::Help,
        "balance" => Command::Balance,
        "who" => Command::Who,
        "price" => with_number(rest, Command::Price),
        "text" => {
            let (typed, text) = split_number(rest);
            let text = Some(text.trim())
                .filter(|text| !text.is_empty())
                .map(str::to_owned);
            with_number(typed, |number| Command::Text(number, text))
        }
        _ => Command::Unknown(verb.to_owned()),
    }
}

fn with_number(typed: &str, make: impl FnOnce(E164) -> Command) -> Command {
    match number::parse_typed(typed.trim()) {
        Ok(number) => make(number),
        Err(why) => Command::BadNumber(typed.trim().to_owned(), why),
    }
}

/// Cuts a typed number, which may hold spaces, from the words after it.
fn split_number(rest: &str) -> (&str, &str) {
    let part = |c: char| c.is_ascii_digit() || " +-.()/\u{a0}".contains(c);
    let end = rest.find(|c| !part(c)).unwrap_or(rest.len());
    rest.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number() -> E164 {
        "447700900123".parse().expect("a number")
    }

    #[test]
    fn bare_words_are_commands_only_in_the_bots_own_room() {
        assert_eq!(parse("balance", true), Some(Command::Balance));
        assert_eq!(parse("balance", false), None);
        assert_eq!(parse("!sms balance", false), Some(Command::Balance));
        assert_eq!(parse("!smsbalance", false), None);
        assert_eq!(parse("!sms", false), Some(Command::Help));
    }

    #[test]
    fn numbers_are_read_as_people_type_them() {
        assert_eq!(
            parse("price +44 7700 900123", true),
            Some(Command::Price(number()))
        );
        let text = Command::Text(number(), Some("see you at 8".to_owned()));
        assert_eq!(parse("text +44 7700-900123 see you at 8", true), Some(text));
        assert_eq!(
            parse("text +447700900123", true),
            Some(Command::Text(number(), None))
        );
        assert!(matches!(
            parse("price 0770", true),
            Some(Command::BadNumber(..))
        ));
    }

    #[test]
    fn anything_else_is_answered_too() {
        assert_eq!(
            parse("dance", true),
            Some(Command::Unknown("dance".to_owned()))
        );
    }
}
