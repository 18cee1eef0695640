//! What people say to the bot.

use std::fmt;

use matrix_smpp_codec::e164::E164;

use super::number::{self, Fit, NumberError};

/// The prefix of a command outside the bot's own room.
pub const PREFIX: &str = "!sms";

/// A command.
#[derive(Clone, PartialEq, Eq)]
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
    /// This verb, which needs a number, without one.
    MissingNumber(&'static str),
    /// A number that is none.
    BadNumber(String, NumberError),
    /// Something else.
    Unknown(String),
    /// No words: a picture, an emote.
    NotWords,
}

impl fmt::Debug for Command {
    /// Names the command and nothing that was typed with it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Help => f.write_str("Help"),
            Self::Balance => f.write_str("Balance"),
            Self::Price(number) => write!(f, "Price({number:?})"),
            Self::Text(number, text) => {
                let text = text.as_ref().map(|_| "…");
                write!(f, "Text({number:?}, {text:?})")
            }
            Self::Who => f.write_str("Who"),
            Self::MissingNumber(verb) => write!(f, "MissingNumber({verb:?})"),
            Self::BadNumber(_, why) => write!(f, "BadNumber(…, {why:?})"),
            Self::Unknown(_) => f.write_str("Unknown(…)"),
            Self::NotWords => f.write_str("NotWords"),
        }
    }
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
    // In any case: keyboards of phones write a capital at the beginning.
    let (prefix, rest) = body.split_at_checked(PREFIX.len())?;
    if !prefix.eq_ignore_ascii_case(PREFIX) {
        return None;
    }
    (rest.is_empty() || rest.starts_with(char::is_whitespace)).then(|| rest.trim_start())
}

fn command(words: &str) -> Command {
    let (verb, rest) = words.split_once(char::is_whitespace).unwrap_or((words, ""));
    match verb.to_lowercase().as_str() {
        "" | "help" => Command::Help,
        "balance" => Command::Balance,
        "who" => Command::Who,
        "price" => with_number("price", rest.trim(), Command::Price),
        "text" => text(rest.trim()),
        _ => Command::Unknown(verb.to_owned()),
    }
}

fn text(rest: &str) -> Command {
    let (run, _) = rest.split_at(rest.find(|c| !is_part(c)).unwrap_or(rest.len()));
    if run.is_empty() {
        return Command::MissingNumber("text");
    }
    let Some(end) = number_end(run) else {
        return Command::BadNumber(run.trim().to_owned(), NumberError::Ambiguous);
    };
    let (typed, text) = rest.split_at(end);
    let text = text.trim_start_matches([':', ',', ';']).trim();
    let text = (!text.is_empty()).then(|| text.to_owned());
    with_number("text", typed.trim(), |number| Command::Text(number, text))
}

fn with_number(verb: &'static str, typed: &str, make: impl FnOnce(E164) -> Command) -> Command {
    if typed.is_empty() {
        return Command::MissingNumber(verb);
    }
    match number::parse_typed(typed) {
        Ok(number) => make(number),
        Err(why) => Command::BadNumber(typed.to_owned(), why),
    }
}

/// What a typed number is made of.
fn is_part(c: char) -> bool {
    c.is_ascii_digit() || " +-.()/\u{a0}".contains(c)
}

/// Where the number at the start of `run` ends: it may hold spaces, and the text after it may begin
/// with digits. `None` where that cannot be told, so that no text goes to a stranger.
fn number_end(run: &str) -> Option<usize> {
    let fit = |end: usize| number::parse_typed(run.split_at(end).0).map_or(Fit::Never, number::fit);
    let ends: Vec<_> = word_ends(run).map(|end| (fit(end), end)).collect();
    let best = ends.iter().map(|(fit, _)| *fit).max()?;
    if best == Fit::Never {
        return Some(run.len());
    }
    let mut fitting = ends.iter().filter(|(fit, _)| *fit == best);
    match (fitting.next(), fitting.next()) {
        (Some((_, end)), None) => Some(*end),
        _ => None,
    }
}

/// The end of each word of `run`.
fn word_ends(run: &str) -> impl Iterator<Item = usize> {
    let next = run.chars().skip(1).map(Some).chain([None]);
    run.char_indices().zip(next).filter_map(|((at, c), next)| {
        let ends = !c.is_whitespace() && next.is_none_or(char::is_whitespace);
        ends.then(|| at + c.len_utf8())
    })
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
    fn a_command_that_a_keyboard_has_capitalised_is_never_sent_to_phones() {
        for typed in ["!Sms balance", "!SMS Balance"] {
            assert_eq!(parse(typed, false), Some(Command::Balance), "{typed}");
        }
        for said in ["!smé balance", "!sé", "!sm"] {
            assert_eq!(parse(said, false), None, "{said}");
        }
    }

    fn texted(body: &str) -> (String, Option<String>) {
        match parse(body, true) {
            Some(Command::Text(number, text)) => (number.to_string(), text),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn digits_of_the_text_are_no_part_of_the_number() {
        for typed in [
            "text +44 7700 900123 2 tickets please",
            "text +447700900123 2 tickets please",
            "text 0044 7700 900 123: 2 tickets please",
            "text +44 (0)7700 900123\n2 tickets please",
        ] {
            let text = Some("2 tickets please".to_owned());
            assert_eq!(texted(typed), ("447700900123".to_owned(), text), "{typed}");
        }
        let five = Some("5".to_owned());
        assert_eq!(
            texted("text +49 1511 2345678 5"),
            ("4915112345678".to_owned(), five)
        );
    }

    #[test]
    fn a_number_that_could_end_in_two_places_is_asked_about() {
        let asked = parse("text +49 170 1234567 2 tickets", true);
        assert!(
            matches!(asked, Some(Command::BadNumber(_, NumberError::Ambiguous))),
            "{asked:?}"
        );
        let told = texted("text +49 170 1234567: 2 tickets");
        assert_eq!(
            told,
            ("491701234567".to_owned(), Some("2 tickets".to_owned()))
        );
    }

    #[test]
    fn a_command_without_its_number_is_not_a_bad_number() {
        assert_eq!(parse("text", true), Some(Command::MissingNumber("text")));
        assert_eq!(parse("price ", true), Some(Command::MissingNumber("price")));
        assert_eq!(
            parse("text hello", true),
            Some(Command::MissingNumber("text"))
        );
        assert!(matches!(
            parse("price abc", true),
            Some(Command::BadNumber(..))
        ));
    }

    #[test]
    fn what_was_typed_is_not_shown() {
        for typed in [
            "text +44 7700 900123 secret",
            "text +44 7700 900123",
            "price +447700900123",
            "price 07700900123",
            "secret +447700900123",
        ] {
            let shown = format!("{:?}", parse(typed, true));
            assert!(
                !shown.contains("secret") && !shown.contains("900123"),
                "{shown}"
            );
        }
    }

    #[test]
    fn anything_else_is_answered_too() {
        assert_eq!(
            parse("dance", true),
            Some(Command::Unknown("dance".to_owned()))
        );
    }
}
